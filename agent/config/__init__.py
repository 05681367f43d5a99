"""From a configuration to what the agent does: policy, filters, tags, reload."""

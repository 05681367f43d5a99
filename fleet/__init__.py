"""The control plane of agents: environments, tokens, agents, object stores, configuration."""

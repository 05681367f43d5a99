"""What is done with an exchange: plugins, in the stacks that the configuration makes."""

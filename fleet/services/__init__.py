"""What changes environments, tokens, agents and object stores."""

"""The agent's way to the platform."""

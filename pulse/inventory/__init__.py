"""The register of third parties: found in traffic, reviewed by people, kept when events go."""

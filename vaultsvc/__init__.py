"""Keys and secrets: seals every credential that the platform keeps."""

"""From the kernel to chunks of plaintext, each tied to its connection and process."""

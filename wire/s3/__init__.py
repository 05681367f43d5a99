"""S3 as agent and platform speak it: signatures, and where a bucket is. No I/O."""

"""Objects in the customer's S3: AWS, Google Cloud Storage, MinIO, any S3."""

"""The HTML door: pages for customers, resellers and the cloud administrators."""

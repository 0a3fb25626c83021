//! AWS Signature Version 4: what a request claims, and whether its signature is right; and signing, for clients of our own.

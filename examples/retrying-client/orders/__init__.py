"""A service that counts orders, and its client."""

"""A teacher endpoint on loopback that speaks the real wire format."""

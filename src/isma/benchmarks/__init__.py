"""Speed, with a peer beside it."""

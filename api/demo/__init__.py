"""The demo centre: invented people in an invented place, the same for the same seed."""

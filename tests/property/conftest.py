"""Properties are about values, not about time: the machine may be busy while they run."""

from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")

"""Property tests judge results, never the speed of the machine they run on."""

from hypothesis import settings

settings.register_profile("tuneshift", deadline=None)
settings.load_profile("tuneshift")

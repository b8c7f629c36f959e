"""What people read: summaries, open items, briefings, timelines, and the feed that drives them.

Everything here is computed from events and kept sealed under the patient's own key; any of it but
the briefing editions can be thrown away and built again.
"""

"""The doctor: looks at everything a connector depends on, changes nothing, and says how to mend it.

It creates no topic, joins no group, commits and writes nothing, and sends no event. Each examination is
bounded in time and runs beside the others, so that one thing that hangs hides nothing else.
"""

"""A stand-in Sailthru, in memory: what `sailpipe up` delivers to when no API key is set.

It follows reference: sailthru-api, chooses where that is silent (each choice says so), and shares
no code with `pipeline.sailthru`, so that either can show the other to be wrong. `sandbox.Sandbox` is
the whole behaviour without HTTP; `app` is the HTTP around it, `server` runs that.
"""

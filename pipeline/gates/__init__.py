"""Gates: what stops a lane, a bucket, a host or an account, and what opens it again.

gates reads and writes them; outages and circuit close them for Sailthru's answers, brake for mass
dying; slow_start lets a lane begin slowly again; alerts tells the operator.
"""

"""What is wrong with an installation, and what to do about it: for `sailpipe doctor` and the console's Set-up page.

check (one check) -> storage, processes, targets, credentials (what is checked) -> local (all that asks Redis alone)
"""

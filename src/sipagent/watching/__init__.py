"""Calls as they happen, for whoever watches them.

*Telling* makes LiveEvents of what happens, *recalling* makes the same ones of the records. The
*hub* hands them to *topics*: bounded logs of one call, of one tenant's calls or of everybody's.
*Viewers* each read a topic at their own pace; one that is too slow finds a *gap*. Nothing is made
while nobody watches, and no call waits for a viewer. *Remote* has replicas tell each other what is
watched there. *Joining* goes from what is recorded to what happens without losing anything.
"""

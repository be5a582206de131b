"""What the agent is told to say at an end that limits, or somebody on duty, bring about."""

from typing import Final

TIME_IS_UP: Final = (
    "The time for this call is over. In the language of the conversation, say so in one short"
    " sentence, thank the caller and say goodbye. Do not ask anything."
)

ENDED_BY_SOMEBODY: Final = (
    "The call ends now. In the language of the conversation, say in one short sentence that it has"
    " to end here, thank the caller and say goodbye. Give no reason and ask nothing."
)

NOBODY_ANSWERS: Final = (
    "The caller has not answered. In the language of the conversation, say in one short sentence"
    " that you hear nobody and are going to hang up, and say goodbye. Do not ask anything."
)

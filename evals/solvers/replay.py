"""Plays a scripted conversation: wherever a user turn has no scripted answer, the model under test answers."""

from inspect_ai.model import ChatMessageAssistant, ChatMessageUser
from inspect_ai.solver import Generate, Solver, TaskState, solver

from conscience.constitution import Turn


@solver
def replay() -> Solver:
    """Play the sample's `turns` in order; the same script for every model."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        turns = [Turn.model_validate(turn) for turn in state.metadata["turns"]]
        state.messages = [message for message in state.messages if message.role == "system"]
        for turn, following in zip(turns, [*turns[1:], None], strict=True):
            if turn.role == "assistant":
                state.messages.append(ChatMessageAssistant(content=turn.content, source="input"))
                continue
            state.messages.append(ChatMessageUser(content=turn.content, source="input"))
            if following is None or following.role == "user":
                state = await generate(state)
        return state

    return solve

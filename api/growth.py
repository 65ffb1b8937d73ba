"""Growth: how big an audience was, over time. What can be told of it is `domain.membership.history`'s to say."""

from __future__ import annotations

from datetime import datetime

import strawberry

from domain.membership.history import Growth


@strawberry.type(description="How big an audience was at one instant.")
class SizeAt:
    at: datetime = strawberry.field(
        description="The instant, in whole seconds. What happened in the very second is not counted, but for what its coming moved."
    )
    size: int = strawberry.field(description="Exact, never an estimate.")


@strawberry.type(description="How big an audience was, over time.")
class SizeHistory:
    points: list[SizeAt] = strawberry.field(
        description="The sizes, in order, at those of the instants at which they can be told."
    )
    left_out: int = strawberry.field(
        description="At how many more instants the size cannot be told: the audience was not there yet, the log was cut since, "
        "what happened about then is lost, or they are still to come."
    )
    complete_since: datetime | None = strawberry.field(
        description="What happened up to this time is not kept any more; of all that came later nothing is missing. Null where "
        "nothing was cut off."
    )


def to_size_history(growth: Growth) -> SizeHistory:
    return SizeHistory(
        points=[SizeAt(at=at, size=size) for at, size in growth.sizes],
        left_out=growth.left_out,
        complete_since=growth.complete_since,
    )

"""Explanation of a decision in words and numbers: the candidates, the choice and its outcome."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerCost:
    """A candidate server in the deciding server's view. Times are for one task."""

    server: int
    hops: int
    """From the user's station."""
    load: float
    """Sum of the shares requested from it, by its last broadcast."""
    offload_ratio: float
    """The user's offload ratio there."""
    own_s: float
    """The user's completion time."""
    others_s: float
    """Delay added for the server's other users."""
    later_s: float
    """Added cost beyond the present moment; infinite for a server that was not planned with."""
    hop_saving_s: float
    """Saving by fewer hops, which is certain."""

    @property
    def cost_s(self) -> float:
        """Total of the three."""
        return self.own_s + self.others_s + self.later_s


@dataclass(frozen=True)
class Explanation:
    """Explanation of a decision for one user."""

    policy: str
    user: int
    time_s: float
    """Time of the decision: the first from the requested one on."""
    station: int
    host: int
    """Host of the service before."""
    target: int
    """Host that was chosen."""
    offload_ratio: float
    cpu_share: float
    """CPU share that was requested."""
    choices: tuple[ServerCost, ...]
    """All servers, the cheapest first."""
    now_s: float
    """Completion time at the host, as all shared that server."""
    margin: float | None
    """The part of the user's time that a move must save by prices; None if the policy has no such."""
    priced: bool
    """Whether servers broadcast a price; else a user's cost elsewhere is estimated from load."""
    stop_s: float
    """Downtime of the service that followed."""
    tasks: int
    """Tasks until the next decision."""
    mean_s: float
    """Their mean completion time; NaN if none came."""
    weight: float | None = None
    """Weight of the plan along the forecast, by the forecast's skill; None without a forecast."""

    def at(self, server: int) -> ServerCost:
        """Cost of one server."""
        return next(choice for choice in self.choices if choice.server == server)

    @property
    def why(self) -> list[str]:
        """Reasons in sentences."""
        here, there, best = self.at(self.host), self.at(self.target), self.choices[0]
        stays = self.target == self.host
        said = [
            f"At {self.time_s:.1f} s user {self.user} is at station {self.station}, its service on "
            f"server {self.host}, {_hops(here.hops)} away. `{self.policy}` "
            + ("keeps it there" if stays else f"moves it to server {self.target}")
            + f", offloads {self.offload_ratio:.0%} of each task and asks for "
            f"{self.cpu_share:.1%} of the CPU."
        ]
        if stays and best.server == self.host:
            said.append("No server looked cheaper.")
        elif stays:
            said.append(self._why_not(best, here))
        else:
            said.append(
                f"There a task costs {there.cost_s:.4g} s, where it was {here.cost_s:.4g} s: "
                f"{_part(here, there)}."
            )
            if best.server != self.target:
                said.append(
                    f"Server {best.server} looked cheaper still, {best.cost_s:.4g} s: "
                    + (
                        "who else moves in the same decision changes the prices, and of servers "
                        "that are nearly equal chance takes one."
                        if self.margin is not None
                        else self._blind()
                    )
                )
        if self.weight is not None:
            said.append(
                f"The plan counts for {self.weight:.0%} of what comes later, and the myopic estimate of "
                f"`price` for the rest: so far have the forecasts of server {self.host} come true."
            )
        said.append(self._came())
        return said

    def _why_not(self, best: ServerCost, here: ServerCost) -> str:
        gain_s = here.cost_s - best.cost_s
        text = f"Server {best.server} would have saved {gain_s:.4g} s a task"
        if self.margin is None:
            return f"{text}, {self._blind()}"
        rests = min(max(1 - best.hop_saving_s / max(gain_s, 1e-12), 0.0), 1.0)
        least_s = self.margin * self.now_s * rests
        if gain_s <= least_s:
            return (
                f"{text}, less than the {least_s:.4g} s that it must save: {self.margin:.0%} of the "
                f"user's time for what rests on prices, here {rests:.0%} of the gain."
            )
        return (
            f"{text}, enough to go. But a server moves few users in one decision, those with most "
            "to gain first, which changes the prices for the rest, and where many servers decide "
            "on the same news each lets only some of its users go."
        )

    def _blind(self) -> str:
        if self.priced:
            return f"`{self.policy}` does not go by that."
        return (
            f"as far as its load tells. `{self.policy}` does not go by that, and without prices no "
            "server knows how dear another is."
        )

    def _came(self) -> str:
        stood = f" The service stood still for {self.stop_s:.2f} s." if self.stop_s > 0 else ""
        if not self.tasks:
            return f"No task came until the next decision.{stood}"
        estimate = (
            f", where {self.at(self.target).own_s:.4g} s were estimated" if self.priced else ""
        )
        return (
            f"Until the next decision {self.tasks} tasks came and took {self.mean_s:.4g} s on "
            f"average{estimate}.{stood}"
        )


def _hops(hops: int) -> str:
    return "1 hop" if hops == 1 else f"{hops} hops"


def _part(here: ServerCost, there: ServerCost) -> str:
    saved = 1 - there.cost_s / here.cost_s
    return f"{saved:.1%} less" if saved >= 0 else f"{-saved:.1%} more"

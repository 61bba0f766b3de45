"""One edge agent: its users, its decisions and its share of the CPU, on top of the ownership runtime."""

import asyncio
import time
from pathlib import Path

import msgspec

from isma.agent import tracing
from isma.agent.agent_view import situation
from isma.agent.budget import Budget
from isma.agent.config import Config
from isma.agent.cpu import enforcer
from isma.agent.decisions import Decision, TaskRequest, nearest, proposed
from isma.agent.journal import Journal, JournalFullError
from isma.agent.meters import Meters
from isma.agent.migrator import SnapshotMigrator
from isma.agent.news import Bulletins
from isma.agent.ownership.ledger import granted_ppm, share_ppm
from isma.agent.ownership.vocabulary import (
    WHOLE_PPM,
    Asking,
    AttemptEnded,
    Close,
    Create,
    Grant,
    Move,
    Outcome,
    Serving,
)
from isma.agent.peers import Peers
from isma.agent.planner import PlannerProcess
from isma.agent.pushes import Pushes
from isma.agent.runtime import Runtime, note


class NoRoomError(Exception):
    """The agent serves as many contexts as it may."""


class About(msgspec.Struct, frozen=True):
    """Data that travel with a context: whose it is, and its last task request."""

    user: str
    request: TaskRequest


class Agent:
    """Decides when a user comes and in every period, and moves services as decided."""

    def __init__(self, config: Config, journal: Journal) -> None:
        limits = config.limits
        self.config = config
        self.meters, self.budget = Meters(), Budget(limits.requests_per_s)
        self.migrator = SnapshotMigrator(
            config.service.socket, limits.snapshot_bytes, limits.request_s
        )
        self._peers = Peers(config)
        self.runtime = Runtime(
            config,
            journal=journal,
            migrator=self.migrator,
            peers=self._peers,
            on_ended=self._on_ended,
            enforcer=enforcer(config.cpu.enforce, config.cpu.folder, config.cpu.cores),
        )
        policy = config.policy
        record = Path(config.folder) / "decisions.jsonl" if policy and policy.record else None
        self.planner = (
            PlannerProcess(policy.names, policy.scenario, record, policy.signer) if policy else None
        )
        self.price_s = 0.0
        """Price to broadcast, as of the last decision."""
        self.pushes = Pushes()
        self._about: dict[str, About] = {}
        self._decided: dict[str, Decision] = {}
        broadcast = config.broadcast
        self.news = Bulletins(
            frozenset(config.peers), 0.0 if broadcast is None else broadcast.stale_s
        )

    def start(self) -> None:
        """Recover the state in the journal."""
        self.runtime.recover()

    def refused_for_many(self) -> None:
        """Count and log a connection above the limit."""
        self.meters.refused.labels("too many connections").inc()
        note("refused", why="too many connections")

    def refused(self) -> None:
        """Count and log a connection without a certificate of the authority."""
        self.meters.refused.labels("no certificate of the authority").inc()
        note("refused", why="no certificate of the authority")

    def end(self, context: str) -> None:
        """End a context's service, if it is at rest here."""
        self.runtime.handle(context, Close())
        self.pushes.tell(context)

    async def close(self) -> None:
        """Cancel work under way, and close connections."""
        await self.runtime.close()
        await self.migrator.close()
        await self._peers.close()

    async def decide_for_ever(self) -> None:
        """Decide in every period, by the best policy that answers in time."""
        while True:
            await asyncio.sleep(self.config.server.decision_period_s)
            try:
                if not await self._decide_by_policy():
                    self.decide()
            except JournalFullError as error:
                note("journal full", reason=str(error))

    # Requests of users.

    def create(self, context: str, user: str, wanted: TaskRequest) -> None:
        """Serve a new context, or the one that the same request has created. Raises NoRoomError."""
        if context in self.runtime.ledger.contexts:
            return
        about = About(user, wanted)
        self.runtime.handle(context, Create(0), msgspec.json.encode(about))
        if context not in self.runtime.ledger.contexts:
            raise NoRoomError(f"this agent serves at most {self.config.limits.contexts} contexts")
        self._about[context] = about
        self.decide(context)

    def requested(self, context: str, wanted: TaskRequest) -> None:
        """Take a user's news; it counts from the next decision on."""
        about = self._about_of(context)
        if about is not None and about.request != wanted:
            self._about[context] = about = About(about.user, wanted)
            self.runtime.about[context] = msgspec.json.encode(about)

    def user(self, context: str) -> str | None:
        """Owner of the context."""
        about = self._about_of(context)
        return None if about is None else about.user

    def _about_of(self, context: str) -> About | None:
        if context not in self._about and (stored := self.runtime.about.get(context)):
            self._about[context] = msgspec.json.decode(stored, type=About)
        return self._about.get(context)

    def answer(self, context: str, epoch: int) -> dict[str, object]:
        """The paper's a_i: address, ratio and share, with the epoch, the reason and how long it holds."""
        decided = self._decided.get(context)
        granted_ppm = share_ppm(self.runtime.ledger.contexts.get(context))
        period_s = self.config.server.decision_period_s
        return {
            "contextId": context,
            "referenceURI": self.address(self.config.name),
            "offloadingRatio": decided.offload_ratio if decided and granted_ppm else 0.0,
            "cpuShare": granted_ppm / WHOLE_PPM,
            "epoch": epoch,
            "reason": decided.reason if decided else "nothing has been decided yet",
            "validUntil": time.time() + 2 * period_s,
            "policy": decided.policy if decided else "",
            "modelDigest": decided.digest if decided else "",
        }

    def address(self, name: str) -> str | None:
        """Where an agent takes requests."""
        if name == self.config.name:
            listen = self.config.listen
            return f"https://{listen.address}:{listen.port}"
        return self.config.peers.get(name)

    # Decisions.

    def decide(self, only: str | None = None) -> None:
        """Decide at once, by the nearest server, for all users here or for a newcomer alone."""
        states = self.runtime.ledger.contexts
        kept_ppm = granted_ppm(state for state in states.values() if not isinstance(state, Serving))
        decided = nearest(
            self.config.name, self._requests(), self.config.peers, WHOLE_PPM - kept_ppm
        )
        self._carry_all_out({name: decided[name] for name in decided if only in (None, name)})

    async def _decide_by_policy(self) -> bool:
        """Decide as the last policy proposes that answers in time; False if none does, or in shadow."""
        requests, policy = self._requests(), self.config.policy
        if self.planner is None or policy is None or not requests:
            return False
        began_s = time.monotonic()
        number, own = self.planner.next_number(), self.bulletin()
        asked = situation(number, self.config, requests, own, self.news, began_s)
        proposals = await self.planner.ask(asked, policy.deadline_s)
        self.meters.decisions.observe(time.monotonic() - began_s)
        if not proposals:
            self.meters.late.inc()
            return False
        stale = [] if self.config.broadcast is None else self.news.stale(began_s)
        decided = proposed(proposals[-1], asked, stale)
        if policy.shadow:
            self._log_shadow(proposals[-1].policy, decided)
            return False
        self.price_s = proposals[-1].price_s
        still = self._requests()
        self._carry_all_out({name: decided[name] for name in decided if name in still})
        return True

    def _log_shadow(self, policy: str, decided: dict[str, Decision]) -> None:
        """Log the moves of a policy in shadow mode, without carrying them out."""
        moves = {
            name: decision.server
            for name, decision in decided.items()
            if decision.server != self.config.name
        }
        self.meters.shadow.inc()
        self.meters.shadow_moves.inc(len(moves))
        note("shadow", policy=policy, users=len(decided), moves=moves)

    def _requests(self) -> dict[str, TaskRequest]:
        """Users served here that can be decided for, with their last task requests."""
        states = self.runtime.ledger.contexts
        served = [name for name, state in states.items() if isinstance(state, Serving)]
        return {
            name: about.request for name in served if (about := self._about_of(name)) is not None
        }

    def _carry_all_out(self, decided: dict[str, Decision]) -> None:
        """Carry decisions out, those that free CPU first."""
        states = self.runtime.ledger.contexts

        def more_ppm(name: str) -> int:
            return decided[name].share_ppm - share_ppm(states.get(name))

        for name in sorted(decided, key=more_ppm):
            self._carry_out(name, decided[name])
        self.meters.contexts.set(
            sum(isinstance(state, Serving | Asking) for state in states.values())
        )
        self.meters.granted.set(granted_ppm(states.values()) / WHOLE_PPM)

    def _carry_out(self, context: str, decision: Decision) -> None:
        self._decided[context] = decision
        if decision.server == self.config.name:
            self.runtime.handle(context, Grant(decision.share_ppm))
        else:
            with tracing.within(tracing.began()):  # The migration's, on every hop of it.
                self.runtime.handle(context, Move(decision.server, decision.share_ppm))
        self.pushes.tell(context)

    def _on_ended(self, context: str, ending: AttemptEnded) -> None:
        self.meters.endings.labels(ending.outcome.value).inc()
        self._decided.pop(context, None)
        self._about.pop(context, None)
        self.pushes.tell(context)
        if ending.outcome is Outcome.ARRIVED:
            self._welcome(context)

    def _welcome(self, context: str) -> None:
        try:
            self.decide()
        except JournalFullError as error:
            note("journal full", context=context, reason=str(error))

    # Requests of operators.

    def missing(self) -> list[str]:
        """Peers without a fresh broadcast, where broadcasts are switched on."""
        if self.config.broadcast is None:
            return []
        return self.news.stale(time.monotonic())

    def bulletin(self) -> tuple[float, float, float]:
        """Content of this agent's broadcast: CPU clock, remaining computing resources F, price."""
        granted = granted_ppm(self.runtime.ledger.contexts.values()) / WHOLE_PPM
        server_hz = self.config.server.cpu_hz
        # F in the reading of docs/method/readings.md.
        return server_hz, server_hz / (1 + granted), self.price_s

    def status(self) -> dict[str, object]:
        """Contexts with their states, as they are now."""
        states = self.runtime.ledger.contexts
        return {
            "name": self.config.name,
            "enforced": self.config.cpu.enforce,
            "granted": granted_ppm(states.values()) / WHOLE_PPM,
            "contexts": {
                name: {"state": type(state).__name__, "epoch": state.epoch}
                for name, state in states.items()
            },
        }

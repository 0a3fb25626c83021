"""Clients of several nodes that note what they did, when, and what they were told."""

import random
import threading
import time
import uuid
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError
from conftest import connect

from differential.scenario import create

REGISTERS = 6
COUNTERS = 4
ACCOUNTS = 20
OPENING = 1_000
FOREVER = float("inf")
KINDS = ("append", "append", "read", "count", "transfer", "audit", "scatter", "scatter")
# What says for certain that a write was not applied.
REFUSED = {"ConditionalCheckFailedException", "TransactionConflictException", "ThrottlingException", "ProvisionedThroughputExceededException"}


@dataclass
class Noted:
    """One operation: what it was, when it began and ended, and how. `outcome` is "yes", "no" or "unknown"."""

    kind: str
    key: str
    id: str
    began: float
    ended: float = FOREVER
    outcome: str = "unknown"
    seen: object = None


def string(text):
    return {"S": text}


def number(value):
    return {"N": str(value)}


@dataclass
class Clients:
    """Several clients, each a thread, each with connections to every node."""

    endpoints: list
    how_many: int
    seed: int
    stop: threading.Event
    notes: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    def connections(self):
        """A client without retries for each node, so that what a request did is told once."""
        return [connect(each, read_timeout=15, connect_timeout=2) for each in self.endpoints]

    def prepare(self):
        """Makes the tables and what is in them at the beginning."""
        client = self.connections()[0]
        body = create("Cluster", "pk:S", (), [("ByGroup", "group:S pk:S", "ALL")]).body
        body["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        client.create_table(**body)
        client.create_table(**create("Ledger", "pk:S").body)
        for n in range(REGISTERS):
            client.put_item(TableName="Cluster", Item={"pk": string(f"register-{n}"), "n": number(0), "ids": {"L": []}, "group": string("r")})
        for n in range(ACCOUNTS):
            client.put_item(TableName="Cluster", Item={"pk": string(f"account-{n:02}"), "balance": number(OPENING), "group": string("a")})
        # Before the first client works.
        self.stream = client.describe_table(TableName="Cluster")["Table"]["LatestStreamArn"]

    def start(self):
        """Starts the clients."""
        self.threads = [threading.Thread(target=self.work, args=(self.seed + n,), daemon=True) for n in range(self.how_many)]
        for thread in self.threads:
            thread.start()

    def join(self):
        """Waits for their last operations."""
        for thread in self.threads:
            thread.join(60)

    def work(self, seed):
        """Does one thing after the other until told to stop."""
        choice, nodes = random.Random(seed), self.connections()
        try:
            while not self.stop.is_set():
                kind = choice.choice(KINDS)
                getattr(self, kind)(choice, choice.choice(nodes), nodes)
        except BaseException as error:  # noqa: BLE001  (told at the end)
            self.failures.append(error)

    def noted(self, note, call):
        """Makes a call and notes how it ended."""
        try:
            answer = call()
            note.outcome = "yes"
            return answer
        except ClientError as error:
            if error.response["Error"]["Code"] in REFUSED:
                note.outcome = "no"
            elif error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
        except BotoCoreError:
            # A node that is away may have done it.
            time.sleep(0.05)
        finally:
            note.ended = time.monotonic() if note.outcome != "unknown" else FOREVER
            self.notes.append(note)
        return None

    def append(self, choice, node, _):
        """Reads a register, and appends to it if it is still as it was read."""
        key = f"register-{choice.randrange(REGISTERS)}"
        seen = self.get(key, node)
        if seen is None:
            return
        note = Noted("append", key, str(uuid.UUID(int=choice.getrandbits(128))), time.monotonic())
        self.noted(note, lambda: node.update_item(
            TableName="Cluster", Key={"pk": string(key)}, UpdateExpression="SET n = n + :one, ids = list_append(ids, :id)",
            ConditionExpression="n = :seen",
            ExpressionAttributeValues={":one": number(1), ":seen": number(seen), ":id": {"L": [string(note.id)]}},
        ))

    def get(self, key, node):
        """How many ids a register has."""
        note = Noted("read", key, "", time.monotonic())
        answer = self.noted(note, lambda: node.get_item(
            TableName="Cluster", Key={"pk": string(key)}, ConsistentRead=True, ProjectionExpression="n"))
        if answer is None:
            return None
        note.seen = int(answer["Item"]["n"]["N"])
        return note.seen

    def read(self, choice, node, _):
        """Reads a register consistently."""
        self.get(f"register-{choice.randrange(REGISTERS)}", node)

    def count(self, choice, node, _):
        """Adds one, without a condition."""
        key = f"counter-{choice.randrange(COUNTERS)}"
        note = Noted("count", key, "", time.monotonic())
        self.noted(note, lambda: node.update_item(
            TableName="Cluster", Key={"pk": string(key)}, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": number(1)}))

    def transfer(self, choice, _, nodes):
        """Moves money in a transaction; asks again, of any node and under the same token, until it knows how that ended."""
        source, target = choice.sample(range(ACCOUNTS), 2)
        note = Noted("transfer", f"{source}>{target}", str(uuid.UUID(int=choice.getrandbits(128))), time.monotonic())
        amount = choice.randrange(1, 400)
        note.seen = (source, target, amount)
        request = {"ClientRequestToken": note.id, "TransactItems": [
            {"Update": {"TableName": "Cluster", "Key": {"pk": string(f"account-{source:02}")}, "UpdateExpression": "SET balance = balance - :a",
                "ConditionExpression": "balance >= :a", "ExpressionAttributeValues": {":a": number(amount)}}},
            {"Update": {"TableName": "Cluster", "Key": {"pk": string(f"account-{target:02}")}, "UpdateExpression": "SET balance = balance + :a",
                "ExpressionAttributeValues": {":a": number(amount)}}},
            {"Put": {"TableName": "Ledger", "Item": {"pk": string(note.id), "from": number(source), "to": number(target), "cents": number(amount)},
                "ConditionExpression": "attribute_not_exists(pk)"}},
        ]}
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline and note.outcome == "unknown":
            try:
                choice.choice(nodes).transact_write_items(**request)
                note.outcome = "yes"
            except ClientError as error:
                code = error.response["Error"]["Code"]
                reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                if code == "TransactionCanceledException" and "ConditionalCheckFailed" in reasons:
                    if reasons[2] == "ConditionalCheckFailed":
                        raise AssertionError(f"transfer {note.id} was applied before: {reasons}") from error
                    note.outcome = "no"
                elif code != "TransactionCanceledException" and code != "TransactionInProgressException" and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 and code not in REFUSED:
                    raise
                time.sleep(choice.uniform(0, 0.02))
            except BotoCoreError:
                time.sleep(0.05)
        note.ended = time.monotonic() if note.outcome != "unknown" else FOREVER
        self.notes.append(note)

    def audit(self, _, node, __):
        """Reads all accounts in one transaction: together they always hold the same."""
        note = Noted("audit", "", "", time.monotonic())
        items = [{"Get": {"TableName": "Cluster", "Key": {"pk": string(f"account-{n:02}")}}} for n in range(ACCOUNTS)]
        try:
            answer = node.transact_get_items(TransactItems=items)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException" and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            return
        except BotoCoreError:
            time.sleep(0.05)
            return
        note.outcome, note.seen = "yes", sum(int(each["Item"]["balance"]["N"]) for each in answer["Responses"])
        self.notes.append(note)

    def scatter(self, choice, node, _):
        """Puts and deletes items of changing groups: work for the index."""
        key = f"scatter-{choice.randrange(60)}"
        note = Noted("scatter", key, str(uuid.UUID(int=choice.getrandbits(128))), time.monotonic())
        if choice.random() < 0.25:
            note.seen = "deleted"
            self.noted(note, lambda: node.delete_item(TableName="Cluster", Key={"pk": string(key)}))
        else:
            size = 150_000 if choice.random() < 0.05 else 100
            item = {"pk": string(key), "id": string(note.id), "group": string(f"g{choice.randrange(5)}"), "more": string("x" * size)}
            self.noted(note, lambda: node.put_item(TableName="Cluster", Item=item))

    def summary(self):
        """What was done, in a line."""
        done = {}
        for note in self.notes:
            done.setdefault(note.kind, {}).setdefault(note.outcome, 0)
            done[note.kind][note.outcome] += 1
        return "; ".join(f"{kind}: {outcomes}" for kind, outcomes in sorted(done.items()))


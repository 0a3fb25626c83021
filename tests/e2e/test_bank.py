"""A bank under 32 concurrent clients and kill -9: money moves in transactions, and no cent is gained or lost."""

import random
import threading
import time
import uuid

from answers import N, S, every_item
from botocore.exceptions import BotoCoreError, ClientError
from conftest import connect

from differential.scenario import create

CLIENTS = 32
ACCOUNTS = 60
OPENING_CENTS = 1_000
CRASHES = 3
SECONDS_BETWEEN_CRASHES = 2.0
# What a client sees while the server is away or too busy: it may not know whether its request was applied, and asks again.
RETRIED = {"TransactionInProgressException", "InternalServerError", "ThrottlingException", "ServiceUnavailable",
    "TransactionConflictException"}


def key(number):
    """The key of an account."""
    return {"pk": S(f"account-{number:03}")}


def transfer(token, source, target, cents):
    """A transfer: two balances and a line in the ledger, the source never below zero."""
    amount = {":a": N(cents)}
    return {"ClientRequestToken": token, "TransactItems": [
        {"Update": {"TableName": "Accounts", "Key": key(source), "UpdateExpression": "SET balance = balance - :a, moved = :t",
            "ConditionExpression": "balance >= :a", "ExpressionAttributeValues": {**amount, ":t": S(token)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}},
        {"Update": {"TableName": "Accounts", "Key": key(target), "UpdateExpression": "ADD balance :a",
            "ConditionExpression": "attribute_exists(pk)", "ExpressionAttributeValues": amount}},
        {"Put": {"TableName": "Ledger", "Item": {"pk": S(token), "from": N(source), "to": N(target), "cents": N(cents)},
            "ConditionExpression": "attribute_not_exists(pk)"}},
        {"ConditionCheck": {"TableName": "Accounts", "Key": {"pk": S("open")}, "ConditionExpression": "attribute_exists(pk)"}},
    ]}


class Teller:
    """One client: sends transfers until told to stop and asks again for each until it knows how it ended."""

    def __init__(self, endpoint, stop, seed):
        self.client = connect(endpoint, read_timeout=10, connect_timeout=2, retries={"mode": "standard", "max_attempts": 3})
        self.stop, self.choice = stop, random.Random(seed)
        self.moved, self.declined, self.conflicts, self.failures = {}, set(), 0, []

    def run(self):
        """Works until stopped."""
        while not self.stop.is_set():
            source, target = self.choice.sample(range(ACCOUNTS), 2)
            token, cents = str(uuid.UUID(int=self.choice.getrandbits(128))), self.choice.randrange(1, 700)
            try:
                if self.settle(transfer(token, source, target, cents)):
                    self.moved[token] = (source, target, cents)
                else:
                    self.declined.add(token)
            except BaseException as error:  # noqa: BLE001  (told by the test)
                self.failures.append(error)
                return

    def settle(self, request):
        """Whether the transfer happened."""
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            try:
                self.client.transact_write_items(**request)
                return True
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "TransactionCanceledException":
                    codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
                    if codes[0] == "ConditionalCheckFailed":
                        # Too little money is the only condition that may fail: the ledger's would mean a second application.
                        assert codes[2] != "ConditionalCheckFailed", f"{request['ClientRequestToken']} was applied before: {codes}"
                        old = error.response["CancellationReasons"][0]["Item"]
                        assert int(old["balance"]["N"]) < int(request["TransactItems"][2]["Put"]["Item"]["cents"]["N"])
                        return False
                    assert set(codes) <= {"TransactionConflict", "None", "ThrottlingError"}, codes
                    self.conflicts += 1
                else:
                    assert code in RETRIED, error
                time.sleep(self.choice.random() * 0.02)
            except (BotoCoreError, OSError):
                time.sleep(0.02)
        raise AssertionError("a transfer did not end")


class Auditor:
    """Reads all accounts at once, again and again: the sum must never differ."""

    def __init__(self, endpoint, stop):
        self.client, self.stop, self.audits, self.failures = connect(endpoint, read_timeout=10), stop, 0, []

    def run(self):
        """Audits until stopped."""
        wanted = [{"Get": {"TableName": "Accounts", "Key": key(number), "ProjectionExpression": "balance"}} for number in range(ACCOUNTS)]
        while not self.stop.is_set():
            try:
                found = self.client.transact_get_items(TransactItems=wanted)["Responses"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "TransactionCanceledException" or "TransactionConflict" not in str(error):
                    self.failures.append(error)
                    return
                continue
            except (BotoCoreError, OSError):
                time.sleep(0.05)
                continue
            balances = [int(each["Item"]["balance"]["N"]) for each in found]
            if sum(balances) != ACCOUNTS * OPENING_CENTS or min(balances) < 0:
                self.failures.append(AssertionError(balances))
                return
            self.audits += 1


def test_no_cent_is_gained_or_lost(own_server):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(**create("Accounts", "pk:S").body)
    client.create_table(**create("Ledger", "pk:S").body)
    for number in range(ACCOUNTS):
        client.put_item(TableName="Accounts", Item={**key(number), "balance": N(OPENING_CENTS)})
    client.put_item(TableName="Accounts", Item={"pk": S("open")})

    stop = threading.Event()
    tellers = [Teller(running.endpoint, stop, seed) for seed in range(CLIENTS)]
    auditors = [Auditor(running.endpoint, stop) for _ in range(2)]
    workers = [threading.Thread(target=each.run) for each in (*tellers, *auditors)]
    for worker in workers:
        worker.start()
    for _ in range(CRASHES):
        time.sleep(SECONDS_BETWEEN_CRASHES)
        running.restart("kill")
    time.sleep(SECONDS_BETWEEN_CRASHES)
    stop.set()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive(), "a client hangs"

    failures = [failure for each in (*tellers, *auditors) for failure in each.failures]
    assert not failures, failures[:3]
    running.restart("kill")
    moved = {token: entry for teller in tellers for token, entry in teller.moved.items()}
    declined = set().union(*(teller.declined for teller in tellers))
    assert len(moved) > 200 and sum(auditor.audits for auditor in auditors) > 5

    # The ledger holds exactly the transfers that were acknowledged, and the balances are what it says.
    ledger = {line["pk"]["S"]: tuple(int(line[name]["N"]) for name in ("from", "to", "cents"))
        for line in every_item(client.scan, TableName="Ledger", ConsistentRead=True)}
    assert ledger == moved and not declined & set(ledger)
    expected = dict.fromkeys(range(ACCOUNTS), OPENING_CENTS)
    for source, target, cents in ledger.values():
        expected[source] -= cents
        expected[target] += cents
    accounts = {item["pk"]["S"]: item for item in every_item(client.scan, TableName="Accounts", ConsistentRead=True)}
    assert {number: int(accounts[key(number)["pk"]["S"]]["balance"]["N"]) for number in range(ACCOUNTS)} == expected
    assert sum(expected.values()) == ACCOUNTS * OPENING_CENTS
    print(f"{len(moved)} transfers, {len(declined)} declined, {sum(teller.conflicts for teller in tellers)} conflicts, "
        f"{sum(auditor.audits for auditor in auditors)} audits, {CRASHES} crashes")

"""TransactWriteItems and TransactGetItems: all or nothing, reasons in order, idempotency, limits, conflicts."""

import threading
import uuid

import pytest
from answers import N, S, refusal, refused
from botocore.exceptions import ClientError
from conftest import ENDPOINT, connect

INVALID = "ValidationException"
CANCELED = "TransactionCanceledException"


def put(table, key, condition=None, **attributes):
    """A Put of an item whose partition key is `key`."""
    return {"Put": {"TableName": table, "Item": {"pk": S(key), **attributes}, **(condition or {})}}


def delete(table, key, **more):
    """A Delete."""
    return {"Delete": {"TableName": table, "Key": {"pk": S(key)}, **more}}


def update(table, key, expression, values=None, **more):
    """An Update."""
    given = {"ExpressionAttributeValues": values} if values else {}
    return {"Update": {"TableName": table, "Key": {"pk": S(key)}, "UpdateExpression": expression, **given, **more}}


def check(table, key, condition, values=None, **more):
    """A ConditionCheck."""
    given = {"ExpressionAttributeValues": values} if values else {}
    return {"ConditionCheck": {"TableName": table, "Key": {"pk": S(key)}, "ConditionExpression": condition, **given, **more}}


def get(table, key, **more):
    """A Get."""
    return {"Get": {"TableName": table, "Key": {"pk": S(key)}, **more}}


def canceled(call, **parameters):
    """The reasons of a canceled transaction; its message names their codes in order."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        assert error.response["Error"]["Code"] == CANCELED, error
        reasons = error.response["CancellationReasons"]
        codes = ", ".join(reason["Code"] for reason in reasons)
        expected = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
        assert error.response["Error"]["Message"] == expected
        return reasons
    raise AssertionError(f"accepted: {answer}")


def items_of(client, table):
    """The whole table by key."""
    return {item["pk"]["S"]: item for item in client.scan(TableName=table, ConsistentRead=True)["Items"]}


# --- all or nothing -----------------------------------------------------------------------------------------------


def test_all_four_actions_over_two_tables_apply_together(client, make_table):
    one, two = make_table(), make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    client.put_item(TableName=one, Item={"pk": S("gone"), "v": N(1)})
    client.put_item(TableName=one, Item={"pk": S("guard"), "v": N(7)})
    answer = client.transact_write_items(TransactItems=[put(two, "new", g=S("x")), delete(one, "gone"),
        update(one, "made", "SET v = :v", {":v": N(2)}), check(one, "guard", "v = :v", {":v": N(7)})])
    assert set(answer) == {"ResponseMetadata"}
    assert items_of(client, one) == {"guard": {"pk": S("guard"), "v": N(7)}, "made": {"pk": S("made"), "v": N(2)}}
    assert items_of(client, two) == {"new": {"pk": S("new"), "g": S("x")}}
    assert client.scan(TableName=two, IndexName="ByG")["Count"] == 1


def test_one_failed_condition_leaves_everything_as_it_was(client, make_table):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N(1), "g": S("x")})
    before = items_of(client, table)
    reasons = canceled(client.transact_write_items, TransactItems=[put(table, "b", g=S("x")), delete(table, "a"),
        update(table, "c", "SET n = :n", {":n": N(1)}), check(table, "nobody", "attribute_exists(pk)")])
    assert [reason["Code"] for reason in reasons] == ["None", "None", "None", "ConditionalCheckFailed"]
    assert items_of(client, table) == before
    assert [item["pk"]["S"] for item in client.scan(TableName=table, IndexName="ByG")["Items"]] == ["a"]


def test_updates_see_the_items_as_they_were_before_the_transaction(client, make_table):
    table = make_table()
    for key, n in (("a", 1), ("b", 10)):
        client.put_item(TableName=table, Item={"pk": S(key), "n": N(n), "events": {"L": []}})
    client.transact_write_items(TransactItems=[update(table, "a", "SET n = n + :x, events = list_append(events, :l)",
        {":x": N(5), ":l": {"L": [S("z")]}}), update(table, "b", "ADD n :x REMOVE events", {":x": N(-3)})])
    assert items_of(client, table) == {"a": {"pk": S("a"), "n": N(6), "events": {"L": [S("z")]}}, "b": {"pk": S("b"), "n": N(7)}}


# --- reasons ------------------------------------------------------------------------------------------------------


@pytest.mark.dynamodb_local_differs("ends the message of a failed ConditionCheck with a full stop")
def test_reasons_stand_in_the_order_of_the_request(client, make_table):
    table = make_table()
    for key in ("a", "b"):
        client.put_item(TableName=table, Item={"pk": S(key), "n": N(1)})
    once = {"ConditionExpression": "attribute_not_exists(pk)"}
    failed = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
    reasons = canceled(client.transact_write_items, TransactItems=[
        put(table, "a", {**once, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
        put(table, "free", once),
        put(table, "b", once),
        delete(table, "b2", ConditionExpression="attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        check(table, "c", "n = :n", {":n": N(1)}, ReturnValuesOnConditionCheckFailure="NONE"),
        update(table, "d", "SET n = :n", {":n": N(1)}),
    ])
    assert reasons == [{**failed, "Item": {"pk": S("a"), "n": N(1)}}, {"Code": "None"}, failed, failed, failed, {"Code": "None"}]


@pytest.mark.dynamodb_local_differs("refuses the whole request")
@pytest.mark.parametrize("expression,values,message", [
    ("SET a.b.c = :x", {":x": N(1)}, "The document path provided in the update expression is invalid for update"),
    ("SET n = absent + :x", {":x": N(1)}, "The provided expression refers to an attribute that does not exist in the item"),
    ("SET n = s + :x", {":x": N(1)}, "An operand in the update expression has an incorrect data type"),
    ("ADD s :x", {":x": N(1)}, "An operand in the update expression has an incorrect data type"),
    ("SET n = n + :x", {":x": N("9E125")},
        "Number overflow. Attempting to store a number with magnitude larger than supported range"),
])
def test_an_update_that_cannot_be_applied_is_a_reason(client, make_table, expression, values, message):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "n": N("9E125"), "s": S("text")})
    reasons = canceled(client.transact_write_items, TransactItems=[put(table, "b"), update(table, "a", expression, values)])
    assert reasons == [{"Code": "None"}, {"Code": "ValidationError", "Message": message}]
    assert set(items_of(client, table)) == {"a"}


@pytest.mark.parametrize("action", [
    {"Put": {"Item": {"pk": N(1)}}}, {"Delete": {"Key": {"pk": N(1)}}},
    {"Update": {"Key": {"pk": N(1)}, "UpdateExpression": "REMOVE a"}},
    {"ConditionCheck": {"Key": {"pk": N(1)}, "ConditionExpression": "attribute_exists(pk)"}},
])
def test_a_key_of_the_wrong_type_is_a_reason(client, make_table, action):
    table = make_table()
    (kind, members), = action.items()
    reasons = canceled(client.transact_write_items, TransactItems=[put(table, "b"), {kind: {"TableName": table, **members}}])
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    assert items_of(client, table) == {}


@pytest.mark.dynamodb_local_differs("refuses the whole request")
@pytest.mark.parametrize("key", [{}, {"pk": S("a"), "more": S("b")}])
def test_a_key_of_the_wrong_shape_is_a_reason(client, make_table, key):
    """For Get measured by dynamodb-conformance; for writes the same rule."""
    table = make_table()
    reasons = canceled(client.transact_write_items, TransactItems=[put(table, "b"), {"Delete": {"TableName": table, "Key": key}}])
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    assert items_of(client, table) == {}


@pytest.mark.dynamodb_local_differs("gives no reasons")
@pytest.mark.parametrize("key", [{}, {"pk": N(1)}, {"pk": S("a"), "more": S("b")}])
def test_a_get_whose_key_does_not_match_the_schema_is_a_reason(client, make_table, key):
    table = make_table()
    reasons = canceled(client.transact_get_items, TransactItems=[{"Get": {"TableName": table, "Key": key}}, get(table, "a")])
    assert reasons == [{"Code": "ValidationError", "Message": "The provided key element does not match the schema"}, {"Code": "None"}]


@pytest.mark.dynamodb_local_differs("refuses the whole request")
def test_an_item_that_is_too_large_is_a_reason(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "v": S("x" * 200_000)})
    reasons = canceled(client.transact_write_items, TransactItems=[put(table, "b"), put(table, "big", v=S("x" * 409_600))])
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    assert "size" in reasons[1]["Message"]
    assert set(items_of(client, table)) == {"a"}


def nested(levels):
    """A number inside as many lists."""
    value = N(1)
    for _ in range(levels):
        value = {"L": [value]}
    return value


@pytest.mark.dynamodb_local_differs("counts levels otherwise")
def test_an_update_that_nests_too_deeply_is_a_reason(client, make_table):
    table = make_table()
    client.put_item(TableName=table, Item={"pk": S("a"), "m": {"M": {"x": N(1)}}})
    client.transact_write_items(TransactItems=[update(table, "a", "SET m.x = :x", {":x": nested(30)})])
    reasons = canceled(client.transact_write_items, TransactItems=[put(table, "b"), update(table, "a", "SET m.x = :x", {":x": nested(31)})])
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    assert set(items_of(client, table)) == {"a"}


# --- refusals of the whole request --------------------------------------------------------------------------------


def test_one_item_may_be_named_once(client, make_table):
    table, words = make_table(), "Transaction request cannot include multiple operations on one item"
    for pair in ([put(table, "a"), put(table, "a")], [put(table, "a"), delete(table, "a")],
            [update(table, "a", "REMOVE x"), check(table, "a", "attribute_exists(pk)")]):
        with refused(INVALID, words):
            client.transact_write_items(TransactItems=pair)
    with refused(INVALID, words):
        client.transact_get_items(TransactItems=[get(table, "a"), get(table, "b"), get(table, "a", ProjectionExpression="x")])
    assert items_of(client, table) == {}


@pytest.mark.dynamodb_local_differs("compares the text of numbers")
def test_one_item_may_be_named_once_by_value(client, make_table):
    table = make_table("pk:N")
    with refused(INVALID, "Transaction request cannot include multiple operations on one item"):
        client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": {"pk": N(1)}}},
            {"Delete": {"TableName": table, "Key": {"pk": N("1.0")}}}])


def test_a_hundred_actions_pass_and_101_do_not(client, make_table):
    table = make_table()
    client.transact_write_items(TransactItems=[put(table, f"k{n}", n=N(n)) for n in range(100)])
    assert len(items_of(client, table)) == 100
    for call, actions in ((client.transact_write_items, [put(table, f"m{n}") for n in range(101)]),
            (client.transact_get_items, [get(table, f"k{n}") for n in range(101)])):
        code, message = refusal(call, TransactItems=actions)
        assert code == INVALID and message.endswith("Member must have length less than or equal to 100")
    assert len(items_of(client, table)) == 100
    found = client.transact_get_items(TransactItems=[get(table, f"k{n}") for n in range(100)])["Responses"]
    assert [each["Item"]["n"]["N"] for each in found] == [str(n) for n in range(100)]


def test_four_megabytes_pass_and_more_do_not(client, make_table):
    table = make_table()
    client.transact_write_items(TransactItems=[put(table, f"k{n}", v=S("x" * 400_000)) for n in range(10)])
    assert refusal(client.transact_write_items, TransactItems=[put(table, f"m{n}", v=S("x" * 400_000)) for n in range(11)])[0] == INVALID
    assert client.scan(TableName=table, Select="COUNT", ConsistentRead=True)["Count"] < 11
    assert "Item" not in client.get_item(TableName=table, Key={"pk": S("m0")})
    found = client.transact_get_items(TransactItems=[get(table, f"k{n}") for n in range(10)])["Responses"]
    assert all(len(each["Item"]["v"]["S"]) == 400_000 for each in found)


def test_more_than_four_megabytes_are_not_read_at_once(client, make_table):
    table = make_table()
    for n in range(11):
        client.put_item(TableName=table, Item={"pk": S(f"k{n}"), "v": S("x" * 400_000)})
    assert refusal(client.transact_get_items, TransactItems=[get(table, f"k{n}") for n in range(11)])[0] in (INVALID, CANCELED)


def test_malformed_transactions_are_refused(client, make_table):
    table = make_table()
    absent = "NoSuchTable"
    for actions in ([], [{}], [{**put(table, "a"), **delete(table, "b")}], [put(table, "a"), check(table, "b", "")],
            [put(table, "a"), check(table, "b", "v = :v")],
            [put(table, "a"), {"ConditionCheck": {"TableName": table, "Key": {"pk": S("b")}}}],
            [put(table, "a"), update(table, "b", "SET")], [put(table, "a"), update(table, "b", "SET v = :v REMOVE v", {":v": N(1)})],
            [put(table, "a"), update(table, "b", "SET v = :v", {":v": N(1), ":unused": N(1)})],
            [put(table, "a", v={"SS": []})]):
        assert refusal(client.transact_write_items, TransactItems=actions)[0] == INVALID, actions
    for actions in ([], [{}], [get(table, "a", ProjectionExpression="!!")], [get(table, "a", ProjectionExpression="a, a")],
            [get(table, "a", ExpressionAttributeNames={"#a": "a"})]):
        assert refusal(client.transact_get_items, TransactItems=actions)[0] == INVALID, actions
    for token in ("", "x" * 37):
        if token or not ENDPOINT:
            assert refusal(client.transact_write_items, TransactItems=[put(table, "a")], ClientRequestToken=token)[0] == INVALID
    if not ENDPOINT:
        unknown = put(table, "a", {"ReturnValuesOnConditionCheckFailure": "SOMETIMES"})
        assert refusal(client.transact_write_items, TransactItems=[unknown])[0] == INVALID
    assert refusal(client.transact_write_items, TransactItems=[put(table, "a"), put(absent, "a")])[0] == "ResourceNotFoundException"
    assert refusal(client.transact_get_items, TransactItems=[get(table, "a"), get(absent, "a")])[0] == "ResourceNotFoundException"
    assert items_of(client, table) == {}


def test_an_expression_over_4096_bytes_is_refused(client, make_table):
    table = make_table()
    long = "attribute_not_exists(pk) OR " * 150 + "attribute_not_exists(pk)"
    for action in (put(table, "a", {"ConditionExpression": long}), check(table, "a", long)):
        assert refusal(client.transact_write_items, TransactItems=[put(table, "b"), action])[0] == INVALID
    assert items_of(client, table) == {}


@pytest.mark.dynamodb_local_differs("never tells")
def test_collection_metrics_are_told_by_table(client, make_table):
    table, plain = make_table("pk:S sk:N", lsi=[("ByL", "pk:S l:N", "ALL")]), make_table()
    told = client.transact_write_items(TransactItems=[put(plain, "a"), {"Put": {"TableName": table, "Item": {"pk": S("c"), "sk": N(1)}}}],
        ReturnItemCollectionMetrics="SIZE")["ItemCollectionMetrics"]
    assert told == {table: [{"ItemCollectionKey": {"pk": S("c")}, "SizeEstimateRangeGB": [0.0, 1.0]}]}


@pytest.mark.dynamodb_local_differs("has other words")
def test_a_missing_table_has_its_words(client):
    with refused("ResourceNotFoundException", "Requested resource not found"):
        client.transact_write_items(TransactItems=[put("NoSuchTable", "a")])
    with refused("ResourceNotFoundException", "Requested resource not found"):
        client.transact_get_items(TransactItems=[get("NoSuchTable", "a")])


@pytest.mark.dynamodb_local_differs("accepts it")
def test_an_update_needs_its_expression(client, make_table):
    table = make_table()
    with refused(INVALID):
        client.transact_write_items(TransactItems=[{"Update": {"TableName": table, "Key": {"pk": S("a")}}}])


# --- idempotency --------------------------------------------------------------------------------------------------


def test_a_token_applies_a_transaction_once(client, make_table):
    table = make_table()
    request = {"TransactItems": [update(table, "a", "ADD n :x", {":x": N(1)}), put(table, "b", {"ConditionExpression":
        "attribute_not_exists(pk)"})], "ClientRequestToken": str(uuid.uuid4())}
    for _ in range(4):
        client.transact_write_items(**request)
    assert items_of(client, table)["a"]["n"] == N(1)
    client.delete_item(TableName=table, Key={"pk": S("b")})
    client.transact_write_items(**request)
    assert set(items_of(client, table)) == {"a"}


@pytest.mark.dynamodb_local_differs("counts four units for one item")
def test_a_replay_costs_reads(client, make_table):
    """Measured by dynamodb-conformance: two write units for one small item, two read units for its replay."""
    table = make_table()
    request = {"TransactItems": [update(table, "a", "ADD n :x", {":x": N(1)})], "ClientRequestToken": str(uuid.uuid4()),
        "ReturnConsumedCapacity": "TOTAL"}
    assert client.transact_write_items(**request)["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 2.0,
        "WriteCapacityUnits": 2.0}]
    assert client.transact_write_items(**request)["ConsumedCapacity"] == [{"TableName": table, "CapacityUnits": 2.0,
        "ReadCapacityUnits": 2.0}]


def test_a_token_belongs_to_its_request(client, make_table):
    table, mine = make_table(), str(uuid.uuid4())
    client.transact_write_items(TransactItems=[put(table, "a", v=N(1))], ClientRequestToken=mine)
    for other in ([put(table, "a", v=N(2))], [put(table, "b", v=N(1))], [put(table, "a", v=N(1)), put(table, "b")],
            [delete(table, "a")]):
        assert refusal(client.transact_write_items, TransactItems=other,
            ClientRequestToken=mine)[0] == "IdempotentParameterMismatchException"
    assert items_of(client, table) == {"a": {"pk": S("a"), "v": N(1)}}


def test_a_canceled_transaction_does_not_use_up_its_token(client, make_table):
    table = make_table()
    request = {"TransactItems": [put(table, "a"), check(table, "guard", "attribute_exists(pk)")], "ClientRequestToken": str(uuid.uuid4())}
    assert [reason["Code"] for reason in canceled(client.transact_write_items, **request)] == ["None", "ConditionalCheckFailed"]
    client.put_item(TableName=table, Item={"pk": S("guard")})
    client.transact_write_items(**request)
    assert set(items_of(client, table)) == {"a", "guard"}


def test_one_token_from_many_clients_applies_once(client, server, make_table):
    table, answers = make_table(), []
    tokens, start = [str(uuid.uuid4()) for _ in range(20)], threading.Barrier(16)

    def send():
        mine = connect(server.endpoint)
        for number in range(20):
            start.wait()
            while True:
                try:
                    mine.transact_write_items(TransactItems=[update(table, "a", "ADD n :x", {":x": N(1)})],
                        ClientRequestToken=tokens[number])
                    answers.append("done")
                    break
                except ClientError as error:
                    answers.append(error.response["Error"]["Code"])
                    assert answers[-1] in ("TransactionInProgressException", CANCELED), error
                    assert answers[-1] != CANCELED or "TransactionConflict" in str(error)

    workers = [threading.Thread(target=send) for _ in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert answers.count("done") == 320
    assert "TransactionInProgressException" in answers
    assert items_of(client, table)["a"]["n"] == N(20)


def test_a_token_survives_kill_9(own_server):
    running = own_server()
    client = connect(running.endpoint)
    client.create_table(TableName="Tokens", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")
    request = {"TransactItems": [update("Tokens", "a", "ADD n :x", {":x": N(1)})], "ClientRequestToken": str(uuid.uuid4())}
    client.transact_write_items(**request)
    running.restart("kill")
    client.transact_write_items(**request)
    assert items_of(client, "Tokens")["a"]["n"] == N(1)
    with refused("IdempotentParameterMismatchException"):
        client.transact_write_items(TransactItems=[delete("Tokens", "a")], ClientRequestToken=request["ClientRequestToken"])


# --- reads --------------------------------------------------------------------------------------------------------


def test_gets_answer_in_order_with_gaps(client, make_table):
    one, two = make_table(), make_table("pk:S")
    client.put_item(TableName=one, Item={"pk": S("a"), "v": N(1), "m": {"M": {"x": N(2), "y": N(3)}}})
    client.put_item(TableName=two, Item={"pk": S("a"), "v": N(9)})
    found = client.transact_get_items(TransactItems=[get(one, "absent"), get(two, "a"),
        get(one, "a", ProjectionExpression="m.#x", ExpressionAttributeNames={"#x": "x"}), get(two, "absent")])["Responses"]
    assert found == [{}, {"Item": {"pk": S("a"), "v": N(9)}}, {"Item": {"m": {"M": {"x": N(2)}}}}, {}]


@pytest.mark.dynamodb_local_differs("counts writes twice over")
def test_capacity_is_doubled(client, make_table):
    table = make_table("pk:S", gsi=[("ByG", "g:S", "ALL")])
    told = client.transact_write_items(TransactItems=[put(table, "a", v=S("x" * 1500)), put(table, "b", g=S("g"))],
        ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    # Two units of 1 KB and one, doubled; the index entry of the second item, doubled too.
    assert told == [{"TableName": table, "CapacityUnits": 8.0, "WriteCapacityUnits": 8.0,
        "Table": {"CapacityUnits": 6.0, "WriteCapacityUnits": 6.0},
        "GlobalSecondaryIndexes": {"ByG": {"CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}}}]
    told = client.transact_get_items(TransactItems=[get(table, "a"), get(table, "absent")],
        ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert told == [{"TableName": table, "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}]


def test_an_expression_that_is_too_long_is_told_before_tables_are_looked_for(client, make_table):
    condition = " AND ".join(["attribute_exists(pk)"] * 180)
    for member in (check("Nowhere", "a", condition), update("Nowhere", "a", "SET " + ", ".join(f"a{n} = a{n}" for n in range(500)))):
        told = refusal(client.transact_write_items, TransactItems=[put("Nowhere", "b"), member])
        assert told[0] == INVALID and "Expression size has exceeded the maximum allowed size; expression size: " in told[1]


# --- conflicts ----------------------------------------------------------------------------------------------------


def test_conflicts_are_told_and_nothing_is_lost(client, server, make_table):
    """Transactions and single writes on one item: each succeeds or says that it met another, and the sum is exact."""
    table, done, met = make_table(), [], []
    client.put_item(TableName=table, Item={"pk": S("hot"), "n": N(0)})

    def transact(mine, number):
        mine.transact_write_items(TransactItems=[update(table, "hot", "ADD n :x", {":x": N(1)}), put(table, f"log-{number}")])

    def write(mine, number):
        mine.update_item(TableName=table, Key={"pk": S("hot")}, UpdateExpression="ADD n :x", ExpressionAttributeValues={":x": N(1)})

    def work(seed):
        mine = connect(server.endpoint)
        for number in range(25):
            try:
                (write if seed % 4 == 0 else transact)(mine, f"{seed}-{number}")
                done.append(seed)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == CANCELED:
                    assert [reason["Code"] for reason in error.response["CancellationReasons"]] == ["TransactionConflict", "None"], error
                    assert error.response["CancellationReasons"][0]["Message"] == "Transaction is ongoing for the item"
                else:
                    assert seed % 4 == 0 and code == "TransactionConflictException", error
                met.append(code)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(24)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive(), "a transaction hangs"
    assert len(done) + len(met) == 24 * 25
    assert set(met) == {CANCELED, "TransactionConflictException"}
    items = items_of(client, table)
    assert items["hot"]["n"] == N(len(done))
    assert len(items) - 1 == sum(1 for seed in done if seed % 4)


def test_reads_of_a_transaction_see_whole_transactions(client, server, make_table):
    """Two items that always change together are never seen apart, by gets in a transaction and in either order."""
    table, stop, seen = make_table(), threading.Event(), []
    client.transact_write_items(TransactItems=[put(table, key, n=N(0)) for key in ("left", "right")])

    def read():
        mine, last = connect(server.endpoint), -1
        while not stop.is_set():
            try:
                found = mine.transact_get_items(TransactItems=[get(table, "left"), get(table, "right")])["Responses"]
            except ClientError as error:
                assert error.response["Error"]["Code"] == CANCELED and "TransactionConflict" in str(error), error
                continue
            left, right = (int(each["Item"]["n"]["N"]) for each in found)
            assert left == right
            assert left >= last, "time went backwards"
            last = left
            seen.append(left)

    failures = []

    def guarded():
        try:
            read()
        except BaseException as error:  # noqa: BLE001  (told below)
            failures.append(error)

    readers = [threading.Thread(target=guarded) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 201):
        while True:
            try:
                client.transact_write_items(TransactItems=[put(table, key, n=N(number)) for key in ("right", "left")])
                break
            except ClientError as error:
                assert "TransactionConflict" in str(error), error
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures and len(seen) > 20

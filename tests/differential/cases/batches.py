"""BatchGetItem and BatchWriteItem: limits, duplicates, mixtures and their errors."""

from ..scenario import Derived, L, N, S, Step, create, drop, put, scan, scenario

T, U = "BatchOne", "BatchTwo"


def keys(count, start=0):
    """Keys of `count` items."""
    return [{"pk": S(f"k{n}")} for n in range(start, start + count)]


@scenario
def gets():
    """BatchGetItem."""
    yield create(T)
    yield create(U, "pk:S sk:N")
    for key in keys(30):
        yield put(T, {**key, "v": S("x" * 50), "w": N(1)})
    for n in range(3):
        yield put(U, {"pk": S("u"), "sk": N(n), "v": L(N(n))})
    two = [{"pk": S("u"), "sk": N(n)} for n in range(4)]
    for items in [
        {}, {T: {"Keys": keys(1)}}, {T: {"Keys": keys(40)}}, {T: {"Keys": keys(100)}}, {T: {"Keys": keys(101)}},
        {T: {"Keys": keys(99)}, U: {"Keys": two[:2]}}, {T: {"Keys": keys(5)}, U: {"Keys": two}}, {T: {"Keys": []}}, {T: {}},
        {T: {"Keys": keys(2) + keys(1)}}, {T: {"Keys": keys(3), "ProjectionExpression": "w"}},
        {T: {"Keys": keys(3), "ProjectionExpression": "#w", "ExpressionAttributeNames": {"#w": "w"}}},
        {T: {"Keys": keys(3), "ExpressionAttributeNames": {"#w": "w"}}},
        {T: {"Keys": keys(3), "ProjectionExpression": "w", "ExpressionAttributeNames": {"#w": "w"}}},
        {T: {"Keys": keys(3), "AttributesToGet": ["v"]}}, {T: {"Keys": keys(3), "AttributesToGet": []}},
        {T: {"Keys": keys(3), "AttributesToGet": ["v"], "ProjectionExpression": "v"}}, {T: {"Keys": keys(3), "ConsistentRead": True}},
        {"NoSuchTable": {"Keys": keys(1)}}, {T: {"Keys": keys(1)}, "NoSuchTable": {"Keys": keys(1)}}, {T: {"Keys": [{"nope": S("a")}]}},
        {T: {"Keys": [{"pk": N(1)}]}}, {T: {"Keys": [{"pk": S("")}]}}, {T: {"Keys": [{}]}}, {T: {"Keys": [{"pk": S("a"), "x": S("b")}]}},
        {U: {"Keys": [{"pk": S("u"), "sk": N(1)}, {"pk": S("u"), "sk": N("1.0")}]}}, {U: {"Keys": [{"pk": S("u")}]}},
        {T: {"Keys": keys(2), "ProjectionExpression": "a b"}}, {T: {"Keys": keys(2), "ProjectionExpression": "v, v"}},
    ]:
        for cost in ({}, {"ReturnConsumedCapacity": "TOTAL"}, {"ReturnConsumedCapacity": "INDEXES"}):
            yield Step("BatchGetItem", {"RequestItems": items, **cost}, unordered=True)
    yield drop(T)
    yield drop(U)


@scenario
def writes():
    """BatchWriteItem."""
    yield create(T)
    yield create(U, "pk:S sk:N")

    def puts(found):
        return [{"PutRequest": {"Item": key}} for key in found]

    def deletes(found):
        return [{"DeleteRequest": {"Key": key}} for key in found]

    for items in [
        {}, {T: []}, {T: puts(keys(25))}, {T: puts(keys(26))}, {T: deletes(keys(25))}, {T: puts(keys(13)) + deletes(keys(12, 50))},
        {T: puts(keys(2)) + puts(keys(1))}, {T: puts(keys(1)) + deletes(keys(1))}, {T: deletes(keys(1)) + deletes(keys(1))}, {T: [{}]},
        {T: [{"PutRequest": {}}]}, {T: [{"DeleteRequest": {}}]},
        {T: [{"PutRequest": {"Item": {"pk": S("a")}}, "DeleteRequest": {"Key": {"pk": S("a")}}}]}, {T: puts([{}])}, {T: deletes([{}])},
        {T: puts([{"pk": N(1)}])}, {T: deletes([{"pk": N(1)}])}, {T: puts([{"pk": S("")}])}, {T: deletes([{"pk": S("a"), "x": S("b")}])},
        {T: puts([{"nope": S("a")}])}, {"NoSuchTable": puts(keys(1))}, {T: puts(keys(1)), "NoSuchTable": puts(keys(1))},
        {T: puts(keys(10)), U: puts([{"pk": S("u"), "sk": N(n)} for n in range(15)])},
        {T: puts(keys(10)), U: puts([{"pk": S("u"), "sk": N(n)} for n in range(16)])}, {T: puts([{"pk": S("big"), "v": S("x" * 409_700)}])},
        {T: puts([{"pk": S("a"), "v": {"SS": []}}])}, {T: puts([{"pk": S("a"), "v": N("x")}])},
        {U: puts([{"pk": S("u"), "sk": N(1)}, {"pk": S("u"), "sk": N("1.0")}])}, {T: deletes(keys(3, 900))},
    ]:
        for cost in ({}, {"ReturnConsumedCapacity": "TOTAL"}, {"ReturnConsumedCapacity": "INDEXES", "ReturnItemCollectionMetrics": "SIZE"}):
            yield Step("BatchWriteItem", {"RequestItems": items, **cost}, unordered=True)
    yield scan(T)
    yield scan(U)
    yield drop(T)
    yield drop(U)


@scenario
def large_gets():
    """A BatchGetItem of more than 16 MB leaves keys unprocessed."""
    yield create(T)
    for key in keys(50):
        yield put(T, {**key, "v": S("x" * 390_000)})
    yield Step("BatchGetItem", {"RequestItems": {T: {"Keys": keys(10), "ProjectionExpression": "pk"}}, "ReturnConsumedCapacity": "TOTAL"},
        unordered=True)
    answer = yield Step("BatchGetItem", {"RequestItems": {T: {"Keys": keys(50)}}}, compared="none")
    done, left = len(answer.body["Responses"][T]), len(answer.body["UnprocessedKeys"].get(T, {}).get("Keys", []))
    yield Derived("items and unprocessed keys", (done, left))
    yield drop(T)

"""How fast an item comes from DAX's item cache through the official Python client, beside boto3 over HTTP. Run by hand:

    PARTITA_BIN=… python dax_speed.py
"""

import time

import amazondax
import boto3
from botocore.config import Config

from differential.servers import free_port
from partita_process import Partita

CREDENTIALS = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
KEY = {"pk": {"S": "a"}}
ROUNDS, READS = 5, 400


def measured(client):
    """The seconds of each read, shortest first, and the client's own seconds of the processor in all."""
    times, processor = [], time.process_time()
    for _ in range(READS):
        began = time.perf_counter()
        client.get_item(TableName="Speed", Key=KEY)
        times.append(time.perf_counter() - began)
    return sorted(times), time.process_time() - processor


def main():
    dax = f"dax://127.0.0.1:{free_port()}"
    with Partita("--in-memory", "--dax-listen", dax) as server:
        http = boto3.client("dynamodb", endpoint_url=server.endpoint, config=Config(parameter_validation=False), **CREDENTIALS)
        http.create_table(TableName="Speed", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}])
        http.put_item(TableName="Speed", Item={**KEY, **{f"a{at}": {"S": "x" * 90} for at in range(10)}})
        with amazondax.AmazonDaxClient(boto3.Session(**CREDENTIALS), endpoint_url=dax, region_name="us-east-1") as accelerated:
            best = {}
            # Side by side, and the best round of each, because machines are shared.
            for name, client in (("boto3", http), ("DAX client", accelerated)) * (ROUNDS + 1):
                times, processor = measured(client)
                rate = READS / sum(times)
                if rate > best.get(name, (0,))[0]:
                    best[name] = rate, times[READS // 2] * 1e6, processor / READS * 1e6
        for name, (rate, median, processor) in best.items():
            print(f"{name:10}  {rate:6.0f} requests/s, half of them within {median:4.0f} µs, of which the client computes {processor:4.0f} µs")


if __name__ == "__main__":
    main()

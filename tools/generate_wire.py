#!/usr/bin/env python3
"""Writes crates/api/src/generated/*.rs from AWS's public service model.

usage: generate_wire.py [--check] [directory with botocore/data]

Without a directory the botocore package is downloaded from the Python package index into a temporary directory. Only
facts are taken from the model: names, types, required members, lengths, ranges, patterns and enumerations. The model
itself, and its documentation, stay out of the repository.

--check compares instead of writing and fails when the checked-in files differ.
"""

import argparse
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "crates/api/src/generated"
SERVICES = {
    "DynamoDb": "dynamodb/2012-08-10/service-2.json",
    "Streams": "dynamodbstreams/2012-08-10/service-2.json",
}

# ---- facts that the model does not say, measured against the service --------------------------------------------

# The order in which the members of a structure are checked; members not listed follow in the model's order.
CHECK_ORDER = {
    "PutItemInput": "ReturnConsumedCapacity TableName Item ConditionalOperator Expected ReturnValues ReturnItemCollectionMetrics",
    "DeleteItemInput": "ReturnConsumedCapacity TableName ReturnValues ReturnItemCollectionMetrics Key ConditionalOperator Expected",
    "GetItemInput": "ReturnConsumedCapacity AttributesToGet TableName Key",
    "UpdateItemInput": "ReturnConsumedCapacity TableName ReturnItemCollectionMetrics ReturnValues Key ConditionalOperator Expected AttributeUpdates",
    "QueryInput": "Select IndexName ReturnConsumedCapacity QueryFilter TableName ConditionalOperator AttributesToGet Limit KeyConditions ExclusiveStartKey",
    "ScanInput": "Select IndexName TotalSegments ReturnConsumedCapacity TableName ConditionalOperator ScanFilter Segment Limit AttributesToGet ExclusiveStartKey",
    "BatchGetItemInput": "RequestItems ReturnConsumedCapacity",
    "BatchWriteItemInput": "ReturnConsumedCapacity ReturnItemCollectionMetrics RequestItems",
    "CreateTableInput": "AttributeDefinitions TableName BillingMode ProvisionedThroughput KeySchema GlobalSecondaryIndexes LocalSecondaryIndexes",
    "UpdateTableInput": "TableName ProvisionedThroughput BillingMode GlobalSecondaryIndexUpdates",
    "ListTablesInput": "Limit ExclusiveStartTableName",
    "ProvisionedThroughput": "WriteCapacityUnits ReadCapacityUnits",
    "WriteRequest": "DeleteRequest PutRequest",
}

# The order in which an error lists the names of an enumeration, where it is not the model's.
NAME_ORDER = {
    "ComparisonOperator": "IN NULL BETWEEN LT NOT_CONTAINS EQ GT NOT_NULL NE LE BEGINS_WITH GE CONTAINS",
    "ConditionalOperator": "OR AND",
    "ProjectionType": "ALL INCLUDE KEYS_ONLY",
    "ReturnValue": "ALL_NEW UPDATED_OLD ALL_OLD NONE UPDATED_NEW",
    "ScalarAttributeType": "B N S",
    "Select": "SPECIFIC_ATTRIBUTES COUNT ALL_ATTRIBUTES ALL_PROJECTED_ATTRIBUTES",
}

# Sizes that the service checks beyond the model: (structure, member) -> (min, max).
SIZES = {
    ("CreateTableInput", "KeySchema"): (1, 2),
    ("LocalSecondaryIndex", "KeySchema"): (1, 2),
}
LIST_SIZES = {"AttributeNameList": (1, 255)}

# Constraints of the model that the service does not check in this stage: the handlers know better.
UNCHECKED_SHAPES = {
    "AttributeName",  # by the rules for values
    "StreamArn",  # an ARN of another form is not found
}

PATTERNS = {
    r"[a-zA-Z0-9_.-]+": "Name",
    r"\p{Print}+": "Printable",
    r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*": "Text",
    r"([0-9a-f]{16})+": "HexWords",
    r"^[^\$]+$": "NoDollar",
    r"[A-Za-z0-9][A-Za-z0-9\-\_\.]{0,126}[A-Za-z0-9]": "RuleName",
    r"[,;:|\t ]": "CsvDelimiter",
    r"[\x20-\x21\x23-\x2B\x2D-\x7E]*": "CsvHeader",
    r"^[a-z0-9A-Z]+[\.\-\w]*[a-z0-9A-Z]+$": "Bucket",
    r"[0-9]{12}": "Account",
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "Uuid",
}

KEYWORDS = {"type", "match", "move", "ref", "use", "where", "loop", "in", "for", "enum", "struct", "static", "box"}


def load(directory):
    services = {}
    for name, path in SERVICES.items():
        plain = directory / "botocore/data" / path
        packed = plain.with_name(plain.name + ".gz")
        text = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
        services[name] = json.loads(text)
    init = (directory / "botocore/__init__.py").read_text()
    version = re.search(r"__version__ = '([^']+)'", init).group(1)
    return services, version


def download(directory):
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, "botocore"], check=True
    )
    wheel = next(pathlib.Path(directory).glob("botocore-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name == "botocore/__init__.py" or any(name.startswith("botocore/data/" + p) for p in SERVICES.values()):
                archive.extract(name, directory)


def snake(name):
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return "r#" + name if name in KEYWORDS else name


def pascal(name):
    if re.search(r"[a-z]", name):
        return name
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]", name))


def quoted(text):
    return json.dumps(text)


# Members of the service's own objects that its messages show and its API does not have.
HIDDEN_MEMBERS = {"PutRequest": ["workloadProfileName"]}


class Model:
    def __init__(self, services):
        self.shapes = {}
        self.operations = []
        for service, model in services.items():
            for name, shape in model["shapes"].items():
                known = self.shapes.get(name)
                if known is not None and facts(known) != facts(shape):
                    # The two services agree on everything but the lengths of some strings; the tables' model leads.
                    if known["type"] != shape["type"] or known["type"] == "structure" and set(known["members"]) != set(shape["members"]):
                        raise SystemExit(f"{name} differs between the services")
                    continue
                self.shapes[name] = shape
            for operation in sorted(model["operations"].values(), key=lambda o: o["name"]):
                self.operations.append((service, operation))
        # Each operation has a request structure of its own, even where the model lets two share one.
        shared = [o["input"]["shape"] for _, o in self.operations]
        for _, operation in self.operations:
            shape = operation["input"]["shape"]
            if shared.count(shape) > 1:
                own = operation["name"] + "Input"
                self.shapes[own] = self.shapes[shape]
                operation["input"] = {"shape": own}
        self.inputs = [o["input"]["shape"] for _, o in self.operations]
        self.outputs = [o["output"]["shape"] for _, o in self.operations if "output" in o]
        self.decoded = self.reach(self.inputs)
        self.encoded = self.reach(self.outputs + ["CancellationReason", "ThrottlingReason"])
        self.checked = {name for name in self.decoded if self.shapes[name]["type"] == "structure" and self.has_rules(name)}

    def reach(self, roots):
        seen, rest = {}, list(roots)
        while rest:
            name = rest.pop()
            if name in seen:
                continue
            seen[name] = True
            shape = self.shapes[name]
            if name == "AttributeValue":
                continue
            if shape["type"] == "structure":
                rest += [member["shape"] for member in shape["members"].values()]
            elif shape["type"] == "list":
                rest.append(shape["member"]["shape"])
            elif shape["type"] == "map":
                rest += [shape["key"]["shape"], shape["value"]["shape"]]
        return seen

    def structures(self, names):
        return sorted(n for n in names if self.shapes[n]["type"] == "structure" and n != "AttributeValue")

    def rust_type(self, name, owner_decoded):
        shape = self.shapes[name]
        kind = shape["type"]
        if name == "AttributeValue":
            return "AttributeValue"
        if kind == "structure":
            return name
        if kind == "list":
            return f"Vec<{self.rust_type(shape['member']['shape'], owner_decoded)}>"
        if kind == "map":
            if shape["value"]["shape"] == "AttributeValue":
                return "AttributeMap" if owner_decoded else "StoredItem"
            return f"Entries<{self.rust_type(shape['value']['shape'], owner_decoded)}>"
        if kind == "string":
            return "String" if owner_decoded or "enum" not in shape else name
        return {"boolean": "bool", "integer": "i32", "long": "i64", "double": "f64", "timestamp": "Timestamp", "blob": "Bytes"}[kind]

    def members(self, name):
        return list(self.shapes[name]["members"].items())

    def has_rules(self, name, seen=frozenset()):
        """Whether a value of this shape can break a rule of the model."""
        if name in seen or name == "AttributeValue" or name in UNCHECKED_SHAPES:
            return False
        seen = seen | {name}
        shape = self.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            return bool(shape.get("required")) or any(self.has_rules(m["shape"], seen) for m in shape["members"].values())
        if kind == "list":
            return self.size(name) is not None or self.has_rules(shape["member"]["shape"], seen)
        if kind == "map":
            return self.size(name) is not None or self.has_rules(shape["value"]["shape"], seen)
        return any(k in shape for k in ("min", "max", "pattern", "enum"))

    def size(self, name, owner=None, member=None):
        if (owner, member) in SIZES:
            return SIZES[owner, member]
        if name in LIST_SIZES:
            return LIST_SIZES[name]
        shape = self.shapes[name]
        if "min" in shape or "max" in shape:
            return shape.get("min"), shape.get("max")
        return None


def facts(shape):
    if isinstance(shape, dict):
        return {k: facts(v) for k, v in shape.items() if k not in ("documentation", "contextParam", "clientContextParams")}
    if isinstance(shape, list):
        return [facts(v) for v in shape]
    return shape


# ---- writing ------------------------------------------------------------------------------------------------------


def header(subject, version):
    return (
        f"//! {subject}\n//!\n"
        f"//! Generated by `tools/generate_wire.py` from the service model in botocore {version}; change the generator, not this file.\n\n"
        "#![allow(missing_docs)]\n\n"
    )


def write_enums(model, version):
    out = [header("The enumerations of DynamoDB's API.", version)]
    out.append("use crate::json::Encode;\n\n")
    names = sorted(n for n in {**model.decoded, **model.encoded} if model.shapes[n]["type"] == "string" and "enum" in model.shapes[n])
    for name in names:
        values = model.shapes[name]["enum"]
        order = NAME_ORDER[name].split() if name in NAME_ORDER else values
        if sorted(order) != sorted(values):
            raise SystemExit(f"the names of {name} have changed: {values}")
        out.append("#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n")
        out.append(f"pub enum {name} {{\n" + "".join(f"    {pascal(v)},\n" for v in values) + "}\n\n")
        out.append(f"impl {name} {{\n")
        out.append("    /// All names, in the order in which errors list them.\n")
        out.append(f"    pub const NAMES: &'static [&'static str] = &[{', '.join(quoted(v) for v in order)}];\n\n")
        out.append("    /// The name on the wire.\n    #[must_use]\n    pub const fn name(self) -> &'static str {\n        match self {\n")
        out.extend(f"            Self::{pascal(v)} => {quoted(v)},\n" for v in values)
        out.append("        }\n    }\n\n")
        out.append("    /// The value with this name on the wire (case-sensitive), if there is one.\n")
        out.append("    #[must_use]\n    pub fn from_name(name: &str) -> Option<Self> {\n        Some(match name {\n")
        out.extend(f"            {quoted(v)} => Self::{pascal(v)},\n" for v in values)
        out.append("            _ => return None,\n        })\n    }\n}\n\n")
        out.append(f"impl Encode for {name} {{\n    fn encode(&self, out: &mut Vec<u8>) {{\n        self.name().encode(out);\n    }}\n}}\n\n")
    return "".join(out)


def write_structure(model, name, decoded, encoded):
    """The type with what is needed of: Decode, Check, Echo (if decoded) and Encode (if encoded)."""
    out = []
    members = model.members(name)
    derives = "Clone, Debug, Default, PartialEq"
    out.append(f"#[derive({derives})]\npub struct {name} {{\n")
    for member, reference in members:
        out.append(f"    pub {snake(member)}: Option<{model.rust_type(reference['shape'], decoded)}>,\n")
    out.append("}\n\n")
    if decoded:
        out.append(write_decode(model, name, members))
        if name in model.checked:
            out.append(write_check(model, name))
        if name not in model.inputs:
            out.append(write_echo(name, members))
    if encoded:
        out.append(write_encode(name, members))
    return "".join(out)


def write_decode(model, name, members):
    out = [f"impl Decode for {name} {{\n"]
    out.append(f"    fn java(out: &mut String) {{\n        out.push_str(SHAPES);\n        out.push_str({quoted(name)});\n    }}\n\n")
    out.append("    fn decode(decoder: &mut Decoder<'_>, place: Place) -> Result<Self, Serialization> {\n")
    out.append("        decoder.begin_structure::<Self>(place)?;\n")
    if not members:
        out.append("        decoder.skip_members()?;\n        Ok(Self {})\n    }\n}\n\n")
        return "".join(out)
    out.append("        let mut this = Self::default();\n        while let Some(name) = decoder.member()? {\n            match &*name {\n")
    for member, reference in members:
        read = "expression_values" if reference["shape"] == "ExpressionAttributeValueMap" else "field"
        out.append(f"                {quoted(member)} => this.{snake(member)} = decoder.{read}()?,\n")
    out.append("                _ => decoder.skip()?,\n            }\n        }\n        Ok(this)\n    }\n}\n\n")
    return "".join(out)


def write_encode(name, members):
    out = [f"impl Encode for {name} {{\n    fn encode(&self, out: &mut Vec<u8>) {{\n"]
    if members:
        out.append("        let mut object = Object::begin(out);\n")
    else:
        out.append("        let object = Object::begin(out);\n")
    for member, _ in members:
        literal = "\\\"" + member + "\\\":"
        out.append(f"        object.member(\"{literal}\", &self.{snake(member)});\n")
    out.append("        object.end();\n    }\n}\n\n")
    return "".join(out)


def write_echo(name, members):
    out = [f"impl Echo for {name} {{\n    fn echo(&self, out: &mut Echoed) {{\n"]
    out.append(f"        out.push({quoted(name + '(')});\n")
    for i, (member, _) in enumerate(members):
        lower = member[0].lower() + member[1:]
        out.append(f"        out.member({quoted((', ' if i else '') + lower + '=')}, &self.{snake(member)});\n")
    hidden = "".join(f", {member}=null" for member in HIDDEN_MEMBERS.get(name, []))
    out.append(f"        out.push({quoted(hidden + ')')});\n    }}\n}}\n\n")
    return "".join(out)


def text_rule(model, shape_name):
    shape = model.shapes[shape_name]
    parts = []
    if "min" in shape and shape["min"] > 0:
        parts.append(f"min: {shape['min']:_}")
    if "max" in shape:
        parts.append(f"max: Some({shape['max']:_})")
    if "pattern" in shape:
        parts.append(f"pattern: Some(Pattern::{PATTERNS[shape['pattern']]})")
    if "enum" in shape:
        parts.append(f"names: enums::{shape_name}::NAMES")
    return "&Text { " + ", ".join(parts + ["..Text::ANY"]) + " }"


def optional(value):
    return "None" if value is None else f"Some({value:_})"


def size_rule(size):
    low, high = size
    return f"&Size {{ min: {low or 0:_}, max: {optional(high)} }}"


def range_rule(shape):
    return f"&Range {{ min: {optional(shape.get('min'))}, max: {optional(shape.get('max'))} }}"


def element_check(model, shape_name):
    """A closure that checks one element of a list or map, or None."""
    shape = model.shapes[shape_name]
    if not model.has_rules(shape_name):
        return None
    if shape["type"] == "structure":
        return "|element, at, findings| element.check(at, findings)"
    if shape["type"] == "string":
        return f"|element, at, findings| findings.element_text(at, element, {text_rule(model, shape_name)})"
    if shape["type"] == "list":
        inner = element_check(model, shape["member"]["shape"])
        return f"|element, at, findings| findings.elements(at, element, {inner})" if inner else None
    return None


def write_check(model, name):
    shape = model.shapes[name]
    required = set(shape.get("required", []))
    members = dict(model.members(name))
    order = CHECK_ORDER.get(name, "").split()
    unknown = [m for m in order if m not in members]
    if unknown:
        raise SystemExit(f"{name} has no members {unknown}")
    order += [m for m in members if m not in order]
    body = []
    for member in order:
        target = members[member]["shape"]
        kind = model.shapes[target]["type"]
        field, label = f"&self.{snake(member)}", quoted(member)
        if member == "TableName" and target in ("TableArn", "TableName"):
            body.append(f"findings.table_name(at, {label}, {field}, {'true' if member in required else 'false'});")
            continue
        if member in required:
            body.append(f"findings.required(at, {label}, {field});")
        if not model.has_rules(target) and (name, member) not in SIZES:
            continue
        if kind == "string":
            body.append(f"findings.text(at, {label}, {field}, {text_rule(model, target)});")
        elif kind in ("integer", "long"):
            body.append(f"findings.range(at, {label}, {field}, {range_rule(model.shapes[target])});")
        elif kind == "structure":
            body.append(f"findings.nested(at, {label}, {field});")
        elif kind == "list":
            size = model.size(target, name, member)
            if size:
                body.append(f"findings.size(at, {label}, {field}, {size_rule(size)});")
            inner = element_check(model, model.shapes[target]["member"]["shape"])
            if inner:
                body.append(f"findings.list(at, {label}, {field}, {inner});")
        elif kind == "map":
            value = model.shapes[target]["value"]["shape"]
            size = model.size(target, name, member)
            if size:
                body.append(f"findings.size(at, {label}, {field}, {size_rule(size)});")
            if model.shapes[target]["key"]["shape"] == "TableArn":
                body.append(f"findings.table_keys(at, {label}, {field});")
            if model.shapes[value]["type"] == "list" and model.size(value):
                body.append(f"findings.value_sizes(at, {label}, {field}, {size_rule(model.size(value))});")
            inner = element_check(model, value)
            if inner:
                body.append(f"findings.map(at, {label}, {field}, {inner});")
    text = "".join(f"        {line}\n" for line in body)
    return f"impl Check for {name} {{\n    fn check(&self, at: &Path<'_>, findings: &mut Findings) {{\n{text}    }}\n}}\n\n"


DECODED_IMPORTS = """use partita_model::{AttributeMap, AttributeValue};

use crate::constraints::{Check, Echo, Echoed, Findings, Path, Pattern, Range, Size, Text};
use crate::generated::enums;
use crate::json::{Decode, Decoder, Encode, Entries, Object, Place, SHAPES, Serialization, Timestamp};

"""


def used(imports, text):
    """The imports without the names that the text does not use."""

    def keep(match):
        names = [n for n in re.split(r",\s*", match.group(2).strip()) if re.search(rf"\b{n}\b", text)]
        if not names:
            return ""
        return f"use {match.group(1)}::{{{', '.join(names)}}};\n" if len(names) > 1 else f"use {match.group(1)}::{names[0]};\n"

    imports = re.sub(r"use ([\w:]+)::\{([^}]*)\};\n", keep, imports)
    return re.sub(r"use ([\w:]+)::(\w+);\n", lambda m: m.group(0) if re.search(rf"\b{m.group(2)}\b", text) else "", imports)


def write_inputs(model, version):
    body = "".join(write_structure(model, n, True, n in model.encoded) for n in model.structures(model.inputs))
    imports = DECODED_IMPORTS + "use super::structures::*;\n\n"
    return header("The requests: one structure per operation, with its decoding and the model's constraints.", version) + used(imports, body) + body


def write_structures(model, version):
    names = [n for n in model.structures(model.decoded) if n not in model.inputs]
    body = "".join(write_structure(model, n, True, n in model.encoded) for n in names)
    return header("The structures inside requests; those that responses repeat can be written too.", version) + used(DECODED_IMPORTS, body) + body


def write_outputs(model, version):
    names = [n for n in model.structures(model.encoded) if n not in model.decoded]
    body = "".join(write_structure(model, n, False, True) for n in names)
    imports = (
        "use partita_model::{AttributeMap, AttributeValue, StoredItem};\n\nuse super::enums::*;\nuse super::structures::*;\n"
        "use crate::json::{Encode, Entries, Object, Timestamp};\n\n"
    )
    return header("The responses and the structures that only responses have.", version) + used(imports, body) + body


def write_operations(model, version):
    out = [header("The operations: their names, targets, and which structures they take and give.", version)]
    out.append("use super::inputs::*;\nuse super::outputs::*;\nuse crate::json::Decode;\n\nuse crate::constraints::Check;\n\n")
    out.append("/// An operation of DynamoDB or DynamoDB Streams.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\npub enum Operation {\n")
    out.extend(f"    {o['name']},\n" for _, o in model.operations)
    out.append("}\n\nimpl Operation {\n")
    out.append("    /// Every operation.\n    pub const ALL: &'static [Self] = &[\n")
    out.extend(f"        Self::{o['name']},\n" for _, o in model.operations)
    out.append("    ];\n\n")
    out.append("    /// The operation's name.\n    #[must_use]\n    pub const fn name(self) -> &'static str {\n        match self {\n")
    out.extend(f"            Self::{o['name']} => {quoted(o['name'])},\n" for _, o in model.operations)
    out.append("        }\n    }\n\n")
    out.append("    /// Whether the operation belongs to DynamoDB Streams.\n    #[must_use]\n    pub const fn is_streams(self) -> bool {\n")
    streams = " | ".join(f"Self::{o['name']}" for s, o in model.operations if s == "Streams")
    out.append(f"        matches!(self, {streams})\n    }}\n\n")
    for service, target in (("DynamoDb", "dynamodb"), ("Streams", "streams")):
        out.append(f"    pub(crate) fn of_{target}(name: &str) -> Option<Self> {{\n        Some(match name {{\n")
        out.extend(f"            {quoted(o['name'])} => Self::{o['name']},\n" for s, o in model.operations if s == service)
        out.append("            _ => return None,\n        })\n    }\n\n")
    out.append("}\n\n")
    out.append("/// A request structure: the operation that it belongs to and what that operation answers.\n")
    out.append("pub trait Input: Decode + Check {\n    /// The operation.\n    const OPERATION: Operation;\n")
    out.append("    /// The structure of a successful response; `()` when the response is empty.\n    type Output;\n}\n\n")
    for _, operation in model.operations:
        name = operation["input"]["shape"]
        output = operation.get("output", {}).get("shape", "()")
        if name not in model.checked:
            out.append(f"impl Check for {name} {{}}\n\n")
        out.append(f"impl Input for {name} {{\n    const OPERATION: Operation = Operation::{operation['name']};\n    type Output = {output};\n}}\n\n")
    return "".join(out)


MODULE = """pub mod enums;
pub mod inputs;
pub mod operations;
pub mod outputs;
pub mod structures;
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("directory", nargs="?", type=pathlib.Path)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.directory
        if directory is None:
            download(temporary)
            directory = pathlib.Path(temporary)
        services, version = load(directory)
        model = Model(services)
        files = {
            "enums.rs": write_enums(model, version),
            "inputs.rs": write_inputs(model, version),
            "structures.rs": write_structures(model, version),
            "outputs.rs": write_outputs(model, version),
            "operations.rs": write_operations(model, version),
            "mod.rs": header("The wire shapes of DynamoDB's API, generated from its public service model.", version).replace(
                "#![allow(missing_docs)]\n\n", ""
            )
            + MODULE,
        }
        target = pathlib.Path(temporary) / "generated" if arguments.check else TARGET
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (target / name).write_text(text)
        leaves = [str(target / name) for name in files if name != "mod.rs"]
        subprocess.run(["rustfmt", "--edition", "2024", "--config-path", str(ROOT), *leaves], check=True)
        if arguments.check:
            stale = [name for name in files if (target / name).read_text() != (TARGET / name).read_text()]
            if stale:
                raise SystemExit(f"not what the generator writes: {', '.join(stale)}")
        shapes = len(model.structures({**model.decoded, **model.encoded}))
        print(f"{len(model.operations)} operations, {shapes} structures from botocore {version}")


if __name__ == "__main__":
    main()

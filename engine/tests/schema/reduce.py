#!/usr/bin/env python3
"""Reduces the vendor's OpenAPI document to what tests check answers against: types, required fields and enumerations of
the answers of the paths that the engine serves, and what they can be searched by. No text of the document is kept.

    reduce.py <document.yaml> > answers.json

Beside the answers: the attributes by which objects can be searched for and sorted, for each search.
"""
import json
import re
import sys

import yaml

# What is served lies below these, except for what is other databases'.
SERVED = re.compile(
    r"/(bookmarks|sources|dsources|groups|toolkits|vdbs|vdb-groups|snapshots|timeflows|environments|jobs)(/.*)?$"
    r"|/management/engines(/search|/\{\w+\})?$|/(login|logout|token-info)$|/reporting/.*"
)
FOREIGN = re.compile(
    r"/(oracle|ase|mssql|hosts|users|listeners|okv-clients|upload|import-engine-bookmarks)\b|export|upgrade|migrate|jdbc-check|repair|recycle|schema_definitions"
)
# Some clients decode these strictly: a field that they do not know is an error.
STRICT = {
    "Tag": None,
    "VDBGroup": None,
    "Hook": ["name", "command", "shell", "element_id", "has_credentials"],
}


def reduced(node):
    """A schema with nothing but its shape."""
    if "$ref" in node:
        return {"$ref": "#/$defs/" + node["$ref"].rsplit("/", 1)[1]}
    shape = {key: node[key] for key in ("type", "required", "enum") if key in node}
    if "properties" in node:
        shape["properties"] = {name: reduced(sub) for name, sub in node["properties"].items()}
    if isinstance(node.get("items"), dict):
        shape["items"] = reduced(node["items"])
    if isinstance(node.get("additionalProperties"), dict):
        shape["additionalProperties"] = reduced(node["additionalProperties"])
    for many in ("allOf", "oneOf", "anyOf"):
        if many in node:
            shape[many] = [reduced(sub) for sub in node[many]]
    if node.get("nullable") and "type" in shape:
        shape["type"] = [shape["type"], "null"]
        if "enum" in shape:
            shape["enum"] = shape["enum"] + [None]
    return shape


def merged(shape, schemas):
    """Objects that an answer is put together from, as one: what is strict about a part does not hold for the whole."""
    if not shape or "allOf" not in shape:
        return shape
    whole = {"type": "object", "properties": {}}
    for part in shape["allOf"]:
        part = reduced(schemas[part["$ref"].rsplit("/", 1)[1]]) if "$ref" in part else part
        whole["properties"].update(part.get("properties", {}))
    return whole


def references(shape):
    if isinstance(shape, dict):
        if "$ref" in shape:
            yield shape["$ref"].rsplit("/", 1)[1]
        for sub in shape.values():
            yield from references(sub)
    elif isinstance(shape, list):
        for sub in shape:
            yield from references(sub)


def searched(operation, components):
    """Attributes that a filter or a sort may name."""
    filtered = operation.get("x-filterable", {}).get("fields", {})
    parameters = [components["parameters"][p["$ref"].rsplit("/", 1)[1]] if "$ref" in p else p for p in operation.get("parameters", [])]
    sorts = [p["schema"].get("enum", []) for p in parameters if p.get("name") == "sort"]
    return sorted({*filtered, *(name.removeprefix("-") for names in sorts for name in names)})


def main():
    document = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
    components = document["components"]
    operations, attributes = {}, {}
    for path, methods in document["paths"].items():
        if not SERVED.match(path) or FOREIGN.search(path):
            continue
        for method, operation in methods.items():
            if method not in ("get", "post", "patch", "delete", "put"):
                continue
            if found := searched(operation, components):
                attributes[f"{method.upper()} {path}"] = found
            answers = {}
            for status, answer in operation.get("responses", {}).items():
                if "$ref" in answer:
                    answer = components["responses"][answer["$ref"].rsplit("/", 1)[1]]
                content = answer.get("content", {}).get("application/json")
                answers[str(status)] = merged(reduced(content["schema"]), components["schemas"]) if content else None
            operations[f"{method.upper()} {path}"] = answers
    schemas, wanted = {}, ["ErrorResponse", *references(operations)]
    while wanted:
        name = wanted.pop()
        if name in schemas or name not in components["schemas"]:
            continue
        schemas[name] = reduced(components["schemas"][name])
        wanted.extend(references(schemas[name]))
    for name, fields in STRICT.items():
        shape = schemas[name]
        if fields:
            shape["properties"] = {field: shape["properties"][field] for field in fields}
        shape["additionalProperties"] = False
    schemas.setdefault("ErrorResponse", {"type": "object", "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}}})
    lines = lambda table: ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(table.items()))
    print("{")
    print(f'  "document": {json.dumps(document["info"]["version"])},')
    print(f'  "attributes": {{\n{lines(attributes)}\n  }},')
    print(f'  "operations": {{\n{lines(operations)}\n  }},')
    print(f'  "schemas": {{\n{lines(schemas)}\n  }}\n}}')


main()

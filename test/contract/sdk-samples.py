"""Prints one filled-in request and answer of each operation, as the official SDKs write them on the wire.

Arguments: MODULE ACTION... The SDK's own to_map() names the fields, so nothing here knows them.
"""
import importlib
import inspect
import json
import re
import sys


def filled(models, cls):
    values = {}
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        values[name] = value_of(models, parameter.annotation)
    return cls(**values)


def value_of(models, annotation):
    if annotation.startswith("List["):
        return [value_of(models, annotation[5:-1])]
    model = re.match(r"main_models\.(\w+)$", annotation)
    if model:
        return filled(models, getattr(models, model.group(1)))
    return {"str": "text", "int": 1, "bool": True, "float": 0.5}[annotation]


def sample(models, name):
    cls = getattr(models, name, None)
    return {} if cls is None else filled(models, cls).to_map()


models = importlib.import_module(sys.argv[1] + ".models")
print(json.dumps({
    action: {"request": sample(models, action + "Request"), "answer": sample(models, action + "ResponseBody")}
    for action in sys.argv[2:]
}))

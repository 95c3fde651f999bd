"""Manages identities with the official SDKs of RAM and STS, and prints what happened, one JSON object per line.

Usage: ram_sts.py HOST:PORT ACCESS_KEY_ID ACCESS_KEY_SECRET ACCOUNT_ID
"""

import json
import sys

from alibabacloud_ram20150501 import models as ram
from alibabacloud_ram20150501.client import Client as RamClient
from alibabacloud_sts20150401 import models as sts
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_tea_openapi.models import Config

ENDPOINT, KEY_ID, SECRET, ACCOUNT = sys.argv[1:]
POLICY = json.dumps(
    {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "ram:ListUsers", "Resource": "*"}]}
)


def trust(principal):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": [principal]}}
    return json.dumps({"Version": "1", "Statement": [statement]})


def config(key_id, secret, token=None):
    return Config(
        access_key_id=key_id,
        access_key_secret=secret,
        security_token=token,
        endpoint=ENDPOINT,
        protocol="HTTP",
        region_id="local",
    )


def step(name, call):
    """Print the answer's body, or the code and status of the error that the SDK raised."""
    try:
        body = call().body.to_map()
        print(json.dumps({"step": name, "body": body}))
        return body
    except Exception as error:  # the SDK has several kinds; each names what the server said
        code = getattr(error, "code", None)
        status = getattr(error, "status_code", None) or (getattr(error, "data", None) or {}).get("statusCode")
        detail = getattr(error, "access_denied_detail", None) or getattr(error, "accessDeniedDetail", None)
        print(json.dumps({"step": name, "code": code, "status": status, "denied": detail, "text": str(error)}))
        return None


root = RamClient(config(KEY_ID, SECRET))
root_sts = StsClient(config(KEY_ID, SECRET))

step("who is root", root_sts.get_caller_identity)
step("create user", lambda: root.create_user(ram.CreateUserRequest(user_name="ada", display_name="Ada L.", email="a@b.c")))
step("create user again", lambda: root.create_user(ram.CreateUserRequest(user_name="ada")))
step("create user badly", lambda: root.create_user(ram.CreateUserRequest(user_name="a b")))
step("get user", lambda: root.get_user(ram.GetUserRequest(user_name="ada")))
step("update user", lambda: root.update_user(ram.UpdateUserRequest(user_name="ada", new_comments="first programmer")))
step("get nobody", lambda: root.get_user(ram.GetUserRequest(user_name="nobody")))
step("create bob", lambda: root.create_user(ram.CreateUserRequest(user_name="bob")))
page = step("list users", lambda: root.list_users(ram.ListUsersRequest(max_items=1)))
step("list on", lambda: root.list_users(ram.ListUsersRequest(max_items=1, marker=page["Marker"])))
step("list badly", lambda: root.list_users(ram.ListUsersRequest(marker="%")))

key = step("create key", lambda: root.create_access_key(ram.CreateAccessKeyRequest(user_name="ada")))["AccessKey"]
second = step("create second key", lambda: root.create_access_key(ram.CreateAccessKeyRequest(user_name="ada")))
step("create third key", lambda: root.create_access_key(ram.CreateAccessKeyRequest(user_name="ada")))
step("list keys", lambda: root.list_access_keys(ram.ListAccessKeysRequest(user_name="ada")))

ada = RamClient(config(key["AccessKeyId"], key["AccessKeySecret"]))
ada_sts = StsClient(config(key["AccessKeyId"], key["AccessKeySecret"]))
step("who is ada", ada_sts.get_caller_identity)
step("ada lists without a right", lambda: ada.list_users(ram.ListUsersRequest()))

step("create policy", lambda: root.create_policy(ram.CreatePolicyRequest(policy_name="lister", policy_document=POLICY, description="d")))
step("create no policy", lambda: root.create_policy(ram.CreatePolicyRequest(policy_name="none", policy_document="{}")))
to_ada = {"policy_name": "lister", "policy_type": "Custom", "user_name": "ada"}
step("attach", lambda: root.attach_policy_to_user(ram.AttachPolicyToUserRequest(**to_ada)))
step("attach again", lambda: root.attach_policy_to_user(ram.AttachPolicyToUserRequest(**to_ada)))
step("ada lists", lambda: ada.list_users(ram.ListUsersRequest()))
step("ada makes a user", lambda: ada.create_user(ram.CreateUserRequest(user_name="eve")))
step("policies of ada", lambda: root.list_policies_for_user(ram.ListPoliciesForUserRequest(user_name="ada")))
step("holders", lambda: root.list_entities_for_policy(ram.ListEntitiesForPolicyRequest(policy_name="lister", policy_type="Custom")))
step("get policy", lambda: root.get_policy(ram.GetPolicyRequest(policy_name="lister", policy_type="Custom")))
step("get system policy", lambda: root.get_policy(ram.GetPolicyRequest(policy_name="AdministratorAccess", policy_type="System")))
step("list policies", lambda: root.list_policies(ram.ListPoliciesRequest(policy_type="Custom")))
step("create version", lambda: root.create_policy_version(ram.CreatePolicyVersionRequest(policy_name="lister", policy_document=POLICY, set_as_default=True)))
step("list versions", lambda: root.list_policy_versions(ram.ListPolicyVersionsRequest(policy_name="lister", policy_type="Custom")))
step("get version", lambda: root.get_policy_version(ram.GetPolicyVersionRequest(policy_name="lister", policy_type="Custom", version_id="v1")))
step("set default", lambda: root.set_default_policy_version(ram.SetDefaultPolicyVersionRequest(policy_name="lister", version_id="v1")))
step("delete default", lambda: root.delete_policy_version(ram.DeletePolicyVersionRequest(policy_name="lister", version_id="v1")))
step("delete version", lambda: root.delete_policy_version(ram.DeletePolicyVersionRequest(policy_name="lister", version_id="v2")))
step("delete attached policy", lambda: root.delete_policy(ram.DeletePolicyRequest(policy_name="lister")))

step("create role", lambda: root.create_role(ram.CreateRoleRequest(role_name="saver", assume_role_policy_document=trust(f"acs:ram::{ACCOUNT}:user/ada"))))
step("get role", lambda: root.get_role(ram.GetRoleRequest(role_name="saver")))
step("update role", lambda: root.update_role(ram.UpdateRoleRequest(role_name="saver", new_max_session_duration=7200, new_description="saves")))
step("list roles", lambda: root.list_roles(ram.ListRolesRequest()))
to_role = {"policy_name": "lister", "policy_type": "Custom", "role_name": "saver"}
step("attach to role", lambda: root.attach_policy_to_role(ram.AttachPolicyToRoleRequest(**to_role)))
step("policies of role", lambda: root.list_policies_for_role(ram.ListPoliciesForRoleRequest(role_name="saver")))

assume = sts.AssumeRoleRequest(role_arn=f"acs:ram::{ACCOUNT}:role/saver", role_session_name="work", duration_seconds=900)
step("assume without a right", lambda: ada_sts.assume_role(assume))
may_assume = {"policy_name": "AliyunSTSAssumeRoleAccess", "policy_type": "System", "user_name": "ada"}
step("attach system policy", lambda: root.attach_policy_to_user(ram.AttachPolicyToUserRequest(**may_assume)))
temporary = step("assume", lambda: ada_sts.assume_role(assume))["Credentials"]
step("root is not trusted", lambda: root_sts.assume_role(assume))
session = config(temporary["AccessKeyId"], temporary["AccessKeySecret"], temporary["SecurityToken"])
step("who is the session", StsClient(session).get_caller_identity)
step("session lists", lambda: RamClient(session).list_users(ram.ListUsersRequest()))
step("session makes a user", lambda: RamClient(session).create_user(ram.CreateUserRequest(user_name="eve")))
broken = config(temporary["AccessKeyId"], temporary["AccessKeySecret"], temporary["SecurityToken"][:-4])
step("session with a broken token", lambda: RamClient(broken).list_users(ram.ListUsersRequest()))

step("detach from role", lambda: root.detach_policy_from_role(ram.DetachPolicyFromRoleRequest(**to_role)))
step("delete role", lambda: root.delete_role(ram.DeleteRoleRequest(role_name="saver")))
step("delete user with keys", lambda: root.delete_user(ram.DeleteUserRequest(user_name="ada")))
off = {"user_name": "ada", "user_access_key_id": key["AccessKeyId"]}
step("switch key off", lambda: root.update_access_key(ram.UpdateAccessKeyRequest(status="Inactive", **off)))
step("ada lists with a key that is off", lambda: ada.list_users(ram.ListUsersRequest()))
step("delete key", lambda: root.delete_access_key(ram.DeleteAccessKeyRequest(**off)))
step("ada lists with a key that is gone", lambda: ada.list_users(ram.ListUsersRequest()))
other = {"user_name": "ada", "user_access_key_id": second["AccessKey"]["AccessKeyId"]}
step("delete second key", lambda: root.delete_access_key(ram.DeleteAccessKeyRequest(**other)))
step("delete user with policies", lambda: root.delete_user(ram.DeleteUserRequest(user_name="ada")))
step("detach", lambda: root.detach_policy_from_user(ram.DetachPolicyFromUserRequest(**to_ada)))
step("detach again", lambda: root.detach_policy_from_user(ram.DetachPolicyFromUserRequest(**to_ada)))
step("detach system policy", lambda: root.detach_policy_from_user(ram.DetachPolicyFromUserRequest(**may_assume)))
step("delete user", lambda: root.delete_user(ram.DeleteUserRequest(user_name="ada")))
step("delete policy", lambda: root.delete_policy(ram.DeletePolicyRequest(policy_name="lister")))

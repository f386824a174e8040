"""The whole life of a virtual database through the vendor's own SDK, as its users would write it.

Every answer is decoded by the SDK, which refuses nulls, floats and words that it does not know.
"""

import argparse
import datetime
import importlib.metadata
import time
import types

from delphix.api.gateway import ApiClient, ApiException, Configuration
from delphix.api.gateway.api.bookmarks_api import BookmarksApi
from delphix.api.gateway.api.d_sources_api import DSourcesApi
from delphix.api.gateway.api.environments_api import EnvironmentsApi
from delphix.api.gateway.api.groups_api import GroupsApi
from delphix.api.gateway.api.jobs_api import JobsApi
from delphix.api.gateway.api.login_api import LoginApi
from delphix.api.gateway.api.management_api import ManagementApi
from delphix.api.gateway.api.reporting_api import ReportingApi
from delphix.api.gateway.api.snapshots_api import SnapshotsApi
from delphix.api.gateway.api.sources_api import SourcesApi
from delphix.api.gateway.api.timeflows_api import TimeflowsApi
from delphix.api.gateway.api.toolkits_api import ToolkitsApi
from delphix.api.gateway.api.vdb_groups_api import VDBGroupsApi
from delphix.api.gateway.api.vdbs_api import VDBsApi
from delphix.api.gateway.model.account_login_parameter import AccountLoginParameter
from delphix.api.gateway.model.app_data_d_source_link_source_parameters import AppDataDSourceLinkSourceParameters
from delphix.api.gateway.model.bookmark_create_parameters import BookmarkCreateParameters
from delphix.api.gateway.model.create_vdb_group_request import CreateVDBGroupRequest
from delphix.api.gateway.model.delete_d_source_request import DeleteDSourceRequest
from delphix.api.gateway.model.delete_tag import DeleteTag
from delphix.api.gateway.model.disable_vdb_parameters import DisableVDBParameters
from delphix.api.gateway.model.enable_vdb_parameters import EnableVDBParameters
from delphix.api.gateway.model.lock_vdb_parameters import LockVDBParameters
from delphix.api.gateway.model.provision_empty_vdb_parameters import ProvisionEmptyVDBParameters
from delphix.api.gateway.model.provision_vdb_from_bookmark_parameters import ProvisionVDBFromBookmarkParameters
from delphix.api.gateway.model.provision_vdbby_snapshot_parameters import ProvisionVDBBySnapshotParameters
from delphix.api.gateway.model.provision_vdbby_timestamp_parameters import ProvisionVDBByTimestampParameters
from delphix.api.gateway.model.refresh_vdb_from_bookmark_parameters import RefreshVDBFromBookmarkParameters
from delphix.api.gateway.model.refresh_vdbby_snapshot_parameters import RefreshVDBBySnapshotParameters
from delphix.api.gateway.model.refresh_vdbby_timestamp_parameters import RefreshVDBByTimestampParameters
from delphix.api.gateway.model.rollback_vdb_from_bookmark_parameters import RollbackVDBFromBookmarkParameters
from delphix.api.gateway.model.rollback_vdbby_snapshot_parameters import RollbackVDBBySnapshotParameters
from delphix.api.gateway.model.search_body import SearchBody
from delphix.api.gateway.model.snapshot_compatible_repository_request import SnapshotCompatibleRepositoryRequest
from delphix.api.gateway.model.start_vdb_parameters import StartVDBParameters
from delphix.api.gateway.model.stop_vdb_parameters import StopVDBParameters
from delphix.api.gateway.model.tag import Tag
from delphix.api.gateway.model.tags_request import TagsRequest
from delphix.api.gateway.model.token_info_request import TokenInfoRequest
from delphix.api.gateway.model.update_bookmark_parameters import UpdateBookmarkParameters
from delphix.api.gateway.model.update_vdb_parameters import UpdateVDBParameters

parser = argparse.ArgumentParser()
for name in ("url", "ca", "key-file", "source", "owner"):
    parser.add_argument(f"--{name}", required=True)
arguments = parser.parse_args()

configuration = Configuration(host=f"{arguments.url}/dct/v3")
configuration.ssl_ca_cert = arguments.ca
key = open(arguments.key_file, encoding="utf-8").read().strip()
configuration.api_key["ApiKeyAuth"] = f"apk {key}"
client = ApiClient(configuration)

vdbs, bookmarks, dsources = VDBsApi(client), BookmarksApi(client), DSourcesApi(client)
snapshots, timeflows, jobs = SnapshotsApi(client), TimeflowsApi(client), JobsApi(client)
started = time.monotonic()


def step(what):
    print(f"  {time.monotonic() - started:6.1f} s  {what}", flush=True)


def done(answer):
    """Waits as the vendor's tools do: PENDING or STARTED, and nothing else, is not over yet."""
    # Not answer.job: in answers that the SDK composes of two schemas it finds the field twice and refuses to choose.
    job_id = answer.to_dict()["job"]["id"]
    deadline = time.monotonic() + 300
    while True:
        job = jobs.get_job_by_id(job_id)
        if job.status not in ("PENDING", "STARTED"):
            assert job.status == "COMPLETED", job.to_dict()
            return job
        assert time.monotonic() < deadline, job.to_dict()
        time.sleep(0.1)


def refused(status, call, *parts, **named):
    try:
        call(*parts, **named)
    except ApiException as error:
        assert error.status == status, (error.status, error.body)
        return
    raise AssertionError(f"{call} was not refused")


def until(what, look):
    """A short while, until there is something."""
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} is missing"
        time.sleep(0.2)
    return found


def only(items, **wanted):
    found = [i for i in items if all(i.to_dict().get(k) == v for k, v in wanted.items())]
    assert len(found) == 1, (wanted, [i.to_dict() for i in items])
    return found[0]


def search(expression):
    return SearchBody(filter_expression=expression)


def plain(answer):
    """Enumerations of the SDK are objects of their own until they are written as a dictionary."""
    return types.SimpleNamespace(**answer.to_dict())


def vdb(vdb_id):
    return plain(vdbs.get_vdb_by_id(vdb_id))


step(f"SDK {importlib.metadata.version('delphix-dct-api')}")
assert ReportingApi(client).get_product_info().api_version.startswith("3.")
management, environments, toolkits = ManagementApi(client), EnvironmentsApi(client), ToolkitsApi(client)
assert (engine := management.get_registered_engines().items[0]).engine_connection_status == "ONLINE"
assert only(management.search_engines(search_body=search(f"id EQ '{engine.id}'")).items, name=engine.name)
assert management.get_registered_engine(engine.id).name == engine.name
environment = only(environments.get_environments().items)
assert only(environments.search_environments(search_body=search(f"id EQ '{environment.id}'")).items, name=environment.name)
assert environments.get_environment_by_id(environment.id).name == environment.name
toolkit = only(toolkits.search_toolkits(search_body=search("name EQ 'postgres-vsdk'")).items)
assert toolkits.get_toolkit_by_id(toolkit.id).name == toolkit.name == only(toolkits.get_toolkits().items).name
token = LoginApi(client).account_login(AccountLoginParameter(api_key=key))
told = LoginApi(client).token_info(token_info_request=TokenInfoRequest(token=token.access_token))
assert told.active, told.to_dict()
wrong = Configuration(host=configuration.host)
wrong.ssl_ca_cert = arguments.ca
wrong.api_key["ApiKeyAuth"] = "apk 1.wrong"
refused(401, VDBsApi(ApiClient(wrong)).search_vdbs)

# The engine links what its settings declare: away with that, to link by hand.
named = search(f"name EQ '{arguments.source}'")
found = until("the source", lambda: dsources.search_dsources(search_body=named).items)
done(dsources.delete_dsource(DeleteDSourceRequest(dsource_id=found[0].id)))
source = SourcesApi(client).search_sources(search_body=search(f"name EQ '{arguments.source}'")).items[0]
linked = dsources.link_appdata_database(
    AppDataDSourceLinkSourceParameters(source_id=source.id, name="sales", link_type="AppDataDirect", group_id="Untitled")
)
done(linked)
dsource = dsources.get_dsource_by_id(linked.dsource_id)
assert dsource.name == "sales" and dsource.size > 0
step("linked")

done(dsources.snapshot_dsource(dsource.id))
taken = snapshots.search_snapshots(sort="-timestamp", limit=10, search_body=search(f"dataset_id EQ '{dsource.id}'"))
assert len(taken.items) == 2 and taken.items[0].timestamp >= taken.items[1].timestamp
latest = taken.items[0]
assert environments.compatible_repositories_by_snapshot(
    snapshot_compatible_repository_request=SnapshotCompatibleRepositoryRequest(snapshot_id=latest.id)).items
step("snapshot")


def between(call, *parts, **named):
    """Once the engine has received the log of the moment that is asked for."""
    def tried():
        try:
            return call(*parts, **named)
        except ApiException as error:
            assert error.status == 422 and "the last possible is" in error.body, (error.status, error.body)
    return until("the log of the moment", tried)


# Rows are written all the time: this one is between two of them, behind the snapshot.
moment = latest.timestamp + datetime.timedelta(seconds=1)

parameters = {"postgresPort": 5434, "mountLocation": "/mnt/x"}
ordered = vdbs.provision_vdb_by_snapshot(
    ProvisionVDBBySnapshotParameters(
        name="dev", source_data_id="sales", container_mode=True, appdata_source_params=parameters,
        target_group_id="postgres-vdbs", tags=[Tag(key="owner", value="team-a")],
    )
)
done(ordered)
dev = vdb(ordered.vdb_id)
assert dev.containerization_state == "READY_FOR_CONTAINER" and not dev.enabled and dev.storage_size > 0
assert dev.parent_id == dsource.id and dev.appdata_source_params["postgresPort"] == 5434
groups = GroupsApi(client)
group = only(groups.search_dataset_groups(search_body=search("name EQ 'postgres-vdbs'")).items)
assert groups.get_dataset_group_by_id(group.id).name == group.name
assert only(groups.get_dataset_groups().items, id=group.id)
first_flow = plain(timeflows.get_timeflow_by_id(dev.current_timeflow_id))
assert first_flow.creation_type == "INITIAL" and first_flow.parent_snapshot_id == latest.id
step("provisioned")

vdbs.create_vdb_tags(dev.id, TagsRequest(tags=[Tag(key="cost", value="7"), Tag(key="cost", value="8")]))
vdbs.delete_vdb_tags(dev.id, delete_tag=DeleteTag(key="cost", value="7"))
assert sorted(t.value for t in vdbs.get_tags_vdb(dev.id).tags) == ["8", "team-a"]
nested = "tags CONTAINS { key EQ 'cost' AND value EQ '8' } and not name in ['x', 'y']"
assert only(vdbs.search_vdbs(search_body=search(nested)).items, id=dev.id)
done(vdbs.update_vdb_by_id(dev.id, update_vdb_parameters=UpdateVDBParameters(description="for tests")))
assert vdb(dev.id).description == "for tests"
step("tags, searches and changes")


def enable(vdb_id):
    done(vdbs.enable_vdb(vdb_id, enable_vdb_parameters=EnableVDBParameters(
        attempt_start=False, container_mode=True, ownership_spec=arguments.owner)))
    return vdb(vdb_id).exported_data_directory


def disable(vdb_id):
    done(vdbs.disable_vdb(vdb_id, disable_vdb_parameters=DisableVDBParameters(container_mode=True)))


exported = enable(dev.id)
assert exported and vdb(dev.id).containerization_state == "RUNNING_IN_CONTAINER"
disable(dev.id)
step("enabled and disabled")

answer = bookmarks.create_bookmark(
    BookmarkCreateParameters(name="before", vdb_ids=[dev.id], expiration=datetime.date(2999, 1, 1))
)
done(answer)
bookmark = plain(bookmarks.get_bookmark_by_id(answer.bookmark.id))
assert bookmark.bookmark_status == "ACTIVE" and bookmark.vdbs[0]["vdb_id"] == dev.id
done(bookmarks.update_bookmark(bookmark.id, update_bookmark_parameters=UpdateBookmarkParameters(retain_forever=True)))
assert "expiration" not in bookmarks.get_bookmark_by_id("before").to_dict()
done(vdbs.snapshot_vdb(dev.id))
assert len(vdbs.get_vdb_snapshots(dev.id).items) == 2
step("bookmark and snapshot")

done(vdbs.refresh_vdb_by_snapshot(dev.id, refresh_vdbby_snapshot_parameters=RefreshVDBBySnapshotParameters()))
refreshed = vdb(dev.id)
assert refreshed.previous_timeflow_id == first_flow.id and refreshed.last_refreshed_date
assert enable(dev.id) != exported
disable(dev.id)
done(vdbs.undo_refresh(dev.id))
assert vdb(dev.id).current_timeflow_id == first_flow.id
assert enable(dev.id) == exported
disable(dev.id)
step("refreshed, and that undone")

done(between(vdbs.refresh_vdb_by_timestamp, dev.id, refresh_vdbby_timestamp_parameters=RefreshVDBByTimestampParameters(
    timestamp=moment, dataset_id=dsource.id)))
assert vdb(dev.id).parent_timeflow_timestamp == moment
done(vdbs.undo_refresh(dev.id))
step("refreshed to a moment between two snapshots, and that undone")

done(vdbs.rollback_vdb_from_bookmark(
    dev.id, rollback_vdb_from_bookmark_parameters=RollbackVDBFromBookmarkParameters(bookmark_id="before")))
done(vdbs.rollback_vdb_by_snapshot(dev.id, rollback_vdbby_snapshot_parameters=RollbackVDBBySnapshotParameters()))
flow = plain(timeflows.get_timeflow_by_id(vdb(dev.id).current_timeflow_id))
assert flow.creation_type == "ROLLBACK" and flow.is_active
flows = timeflows.search_timeflows(search_body=search(f"dataset_id EQ '{dev.id}'")).items
assert only(flows, is_active=True)
step("rewound")

ordered = vdbs.provision_vdb_from_bookmark(
    ProvisionVDBFromBookmarkParameters(name="child", bookmark_id=bookmark.id, container_mode=True))
done(ordered)
child = vdb(ordered.vdb_id)
assert child.parent_id == dev.id and child.parent_dsource_id == dsource.id
done(vdbs.refresh_vdb_from_bookmark(
    child.id, refresh_vdb_from_bookmark_parameters=RefreshVDBFromBookmarkParameters(bookmark_id=bookmark.id)))
assert vdb(child.id).parent_id == dev.id and vdb(child.id).last_refreshed_date
answer = bookmarks.create_bookmark(BookmarkCreateParameters(name="short", vdb_ids=[child.id]))
done(answer)
done(bookmarks.delete_bookmark(answer.bookmark.id))
refused(404, bookmarks.get_bookmark_by_id, answer.bookmark.id)
assert only(bookmarks.search_bookmarks().items, id=bookmark.id)
ordered = vdbs.provision_vdb_by_timestamp(ProvisionVDBByTimestampParameters(
    name="at", source_data_id=dsource.id, timestamp=latest.timestamp, container_mode=True))
done(ordered)
at = ordered.vdb_id
refused(422, vdbs.provision_vdb_by_timestamp, ProvisionVDBByTimestampParameters(
    name="never", source_data_id=dsource.id, container_mode=True,
    timestamp=latest.timestamp + datetime.timedelta(hours=1)))
found = snapshots.find_by_timestamp(dsource.id, latest.timestamp + datetime.timedelta(hours=1))
assert only(found.items, id=latest.id)
step("copies of a bookmark and of a moment")

group = VDBGroupsApi(client).create_vdb_group(CreateVDBGroupRequest(name="pair", vdb_ids=[dev.id, child.id]))
done(group)
assert plain(VDBGroupsApi(client).get_vdb_group("pair")).status == "RUNNING"
VDBGroupsApi(client).delete_vdb_group(group.vdb_group.id)
assert vdbs.lock_vdb(dev.id, lock_vdb_parameters=LockVDBParameters()).is_locked
refused(409, vdbs.delete_vdb, dev.id)
assert not vdbs.unlock_vdb(dev.id).is_locked
reporting = ReportingApi(client)
assert only(reporting.get_vdb_inventory_report().items, vdb_id=dev.id)
assert only(reporting.search_storage_savings_summary_report().items, dependant_vdbs=3)
assert only(reporting.get_virtualization_storage_summary_report().items, vdb_count=3)
step("groups, locks and reports")



def serves(ordered, *names):
    """A server of the engine's own, from its first start to its end."""
    done(ordered)
    classic = vdb(ordered.vdb_id)
    assert classic.containerization_state == "NOT_CONTAINERIZED" and classic.name in names
    assert classic.status == "RUNNING" and classic.ip_address == "127.0.0.1", classic
    done(vdbs.stop_vdb(classic.id, stop_vdb_parameters=StopVDBParameters(abort=False)))
    assert vdb(classic.id).status == "STOPPED"
    done(vdbs.start_vdb(classic.id, start_vdb_parameters=StartVDBParameters()))
    assert vdb(classic.id).status == "RUNNING"
    done(vdbs.delete_vdb(classic.id))


serves(between(vdbs.provision_vdb_by_timestamp, ProvisionVDBByTimestampParameters(
    name="classic", source_data_id=dsource.id, timestamp=moment)), "classic")
serves(vdbs.empty_vdb(ProvisionEmptyVDBParameters(name="empty")), "empty")
step("servers started and stopped, of a moment and without a source")

# Nobody looks at an abandoned job any more; its work goes on.
before = len(snapshots.search_snapshots(search_body=search(f"dataset_id EQ '{dsource.id}'")).items)
begun = dsources.snapshot_dsource(dsource.id).to_dict()["job"]["id"]
jobs.abandon_job(begun)
assert jobs.get_job_by_id(begun).status == "ABANDONED"
of_dsource = search(f"dataset_id EQ '{dsource.id}'")
until("the snapshot", lambda: len(snapshots.search_snapshots(search_body=of_dsource).items) > before)
assert only(jobs.search_jobs(search_body=search(f"id EQ '{begun}'")).items, status="ABANDONED")
listed = jobs.get_jobs(limit=5, sort="-start_time")
assert len(listed.items) == 5 and listed.response_metadata.total > 20
step("jobs listed, searched and abandoned")

refused(409, vdbs.delete_vdb, dev.id)
assert only(vdbs.get_vdb_deletion_dependencies(dev.id).items, dataset_id=child.id)
for vdb_id in (child.id, at, dev.id):
    done(vdbs.delete_vdb(vdb_id))
    refused(404, vdbs.get_vdb_by_id, vdb_id)
assert not bookmarks.search_bookmarks().items
done(snapshots.delete_snapshot(latest.id))
done(dsources.delete_dsource(DeleteDSourceRequest(dsource_id=dsource.id)))
assert not snapshots.search_snapshots().items and not timeflows.search_timeflows().items
# For whoever comes after.
done(dsources.link_appdata_database(
    AppDataDSourceLinkSourceParameters(source_id=source.id, name=arguments.source, link_type="AppDataDirect", group_id="Untitled")))
step("everything deleted")

//! What is assumed of Data Control Tower beyond its documents: the one list, each with the function that relies on it.

#[derive(Clone, Copy, Debug)]
pub struct Assumption {
    pub id: &'static str,
    pub what: &'static str,
    pub relied_on_by: &'static str,
}

const fn assume(id: &'static str, what: &'static str, relied_on_by: &'static str) -> Assumption {
    Assumption {
        id,
        what,
        relied_on_by,
    }
}

pub const ALL: &[Assumption] = &[
    assume(
        "job-target",
        "a job is found by the name of its target from its first moment",
        "tower::Dct::job_by_target",
    ),
    assume(
        "unique-name",
        "a second order of one name in the group is refused as a conflict",
        "tower::Dct::provision",
    ),
    assume(
        "visible",
        "a virtual database is there by id once its job is done",
        "controller::provision::lost",
    ),
    assume(
        "name-search",
        "it is found by its name",
        "tower::Dct::vdb_by_name",
    ),
    assume(
        "tag-search",
        "it is found by a tag that its order carried",
        "sweep::live::Live::tagged",
    ),
    assume(
        "age",
        "it says when it was made",
        "sweep::decide::virtual_database",
    ),
    assume(
        "data-time",
        "it says of what time its data is",
        "controller::provision::deliver",
    ),
    assume(
        "container-mode",
        "enabled in container mode it is RUNNING_IN_CONTAINER",
        "tower::Dct::enable",
    ),
    assume(
        "export-path",
        "enabled it names its exported directory, below export.prefix",
        "controller::build::volume::checked_export",
    ),
    assume(
        "disable",
        "disabled it says so",
        "sweep::decide::virtual_database",
    ),
    assume(
        "refresh-order",
        "it is refreshed while disabled and enabled afterwards",
        "controller::refresh",
    ),
    assume(
        "new-timeflow",
        "a refresh begins a new timeflow",
        "tower::Dct::refresh",
    ),
    assume(
        "undo",
        "undoing a refresh brings the timeflow before it back",
        "tower::Dct::undo_refresh",
    ),
    assume(
        "bookmark",
        "a bookmark is found by its name once its job is done",
        "tower::Dct::bookmark",
    ),
    assume(
        "deletion",
        "once its deletion's job is done it is gone",
        "controller::cleanup::virtual_database",
    ),
    assume(
        "gone-is-gone",
        "deleting what is gone is answered as not found",
        "tower::Dct::delete",
    ),
];

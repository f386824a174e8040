//! Attributes that a filter and a sort may name. All that the vendor's document allows for a kind are known, also those
//! of other databases and of later versions: no object here has them, so they are nil. Those that objects have and the
//! document lacks have come along.

use std::sync::LazyLock;

pub(super) type Attributes = LazyLock<Box<[&'static str]>>;

fn words(text: &'static str) -> Box<[&'static str]> {
    text.split_whitespace().collect()
}

pub(super) static VDB: Attributes = LazyLock::new(|| {
    words(
        "id name description database_type database_name database_version status enabled engine_id engine_name \
         group_name environment_id environment_name ip_address fqdn parent_id parent_name parent_dsource_id \
         parent_dsource_name root_parent_id parent_timeflow_timestamp parent_timeflow_timezone current_timeflow_id \
         previous_timeflow_id creation_date last_refreshed_date size storage_size is_appdata masked is_replica \
         is_locked locked_by locked_by_name containerization_state exported_data_directory appdata_source_params \
         repository_id toolkit_id tags cdb_id cdc_on_provision config_params content_type data_connection_id \
         database_unique_name db_username durability_level environment_user_ref hooks instance_name instance_number \
         invoke_datapatch jdbc_connection_string logsync_enabled mssql_ag_backup_based mssql_ag_backup_location \
         mssql_ag_replicas mssql_incremental_export_backup_frequency_minutes namespace_id namespace_name new_db_id \
         nfs_encryption_enabled nfs_version nfs_version_reason node_listeners parent_pdb_tde_keystore_path \
         parent_tde_keystore_path primary_engine_id primary_engine_name primary_object_id recovery_model \
         redo_log_groups redo_log_size_in_mb replicas target_pdb_tde_keystore_path target_vcdb_tde_keystore_path \
         tde_key_identifier template_id template_name truncate_log_on_checkpoint unvirtualized_space \
         vcdb_exported_data_directory",
    )
});

pub(super) static DSOURCE: Attributes = LazyLock::new(|| {
    words(
        "id name description database_type database_version status enabled is_detached source_id current_timeflow_id \
         creation_date size storage_size group_name engine_id engine_name tags \
         allow_auto_staging_restart_on_host_reboot backup_level_enabled backup_policy bandwidth_limit cdb_id \
         check_logical compressed_linking_enabled compression_enabled content_type data_connection_id data_uuid \
         db_state diagnose_no_logging_faults domain_user_credential_type dump_history_file_enabled durability_level \
         encrypted_linking_enabled encryption_key exported_data_directory external_commserve_host_name \
         external_commvault_config_params external_commvault_config_source_client_name \
         external_commvault_config_staging_client_name external_commvault_config_templates \
         external_netbackup_config_master_name external_netbackup_config_params \
         external_netbackup_config_source_client_name external_netbackup_config_templates files_per_set hooks \
         is_replica load_backup_path logsync_enabled logsync_interval logsync_mode mssql_database_username \
         mssql_sync_strategy_managed_type mssql_user_domain_azure_vault_name mssql_user_domain_azure_vault_secret_key \
         mssql_user_domain_azure_vault_username_key mssql_user_domain_cyberark_vault_query_string \
         mssql_user_domain_hashicorp_vault_engine mssql_user_domain_hashicorp_vault_secret_key \
         mssql_user_domain_hashicorp_vault_secret_path mssql_user_domain_hashicorp_vault_username_key \
         mssql_user_domain_username mssql_user_domain_vault mssql_user_domain_vault_username \
         mssql_user_environment_reference mssql_user_type namespace_id namespace_name number_of_connections \
         physical_standby plugin_version pre_provisioning_enabled previous_timeflow_id primary_engine_id \
         primary_engine_name primary_object_id quota_policy_id replica_retention_policy_id replicas \
         retention_policy_id rman_channels shared_backup_locations staging_database_name staging_source_id \
         sync_policy_id template_id toolkit_id truncate_log_on_checkpoint validate_by_opening_db_in_read_only_mode \
         validated_sync_enabled validated_sync_mode",
    )
});

pub(super) static SNAPSHOT: Attributes = LazyLock::new(|| {
    words(
        "id engine_id engine_name name dataset_id dataset_name timeflow_id consistency creation_time timestamp \
         location timezone version expiration retain_forever tags appdata_metadata appdata_toolkit \
         ase_db_encryption_key effective_expiration effective_retain_forever is_replica missing_non_logged_data \
         mssql_backup_location_type mssql_backup_set_uuid mssql_backup_software_type mssql_empty_snapshot \
         mssql_incremental_export_source_snapshot mssql_internal_version namespace namespace_id namespace_name \
         oracle_from_physical_standby_vdb oracle_redo_log_size_in_bytes start_location start_timestamp temporary",
    )
});

pub(super) static TIMEFLOW: Attributes = LazyLock::new(|| {
    words(
        "id engine_id name dataset_id creation_type parent_snapshot_id parent_point_location parent_point_timestamp \
         parent_point_timeflow_id parent_vdb_id parent_dsource_id source_data_timestamp is_active creation_timestamp \
         tags activation_timestamp is_replica mssql_database_guid namespace namespace_id namespace_name \
         oracle_cdb_timeflow_id oracle_incarnation_id oracle_tde_uuid source_dsource_id source_vdb_id",
    )
});

pub(super) static BOOKMARK: Attributes = LazyLock::new(|| {
    words(
        "id name creation_date data_timestamp timeflow_id vdb_ids vdb_group_id vdb_group_name retention expiration \
         bookmark_status bookmark_type tags bookmark_source dsource_ids dsources is_replica location namespace_id \
         namespace_name paas_databases paas_instances primary_bookmark_expiration primary_engine_id \
         primary_engine_name primary_object_id replicas ss_bookmark_errors ss_bookmark_reference ss_data_layout_id \
         vdbs",
    )
});

pub(super) static VDB_GROUP: Attributes = LazyLock::new(|| {
    words(
        "id name vdb_ids is_locked status tags database_type last_successful_refresh_time \
         last_successful_refresh_to_bookmark_id locked_by locked_by_name ss_data_layout_id vdb_group_source",
    )
});

pub(super) static SOURCE: Attributes = LazyLock::new(|| {
    words(
        "id name database_type database_version environment_id environment_name ip_address fqdn size is_dsource \
         linking_enabled repository toolkit_id engine_id engine_name tags appdata_source_type cdb_type \
         data_connection_id data_uuid database_name database_unique_name discovered environment_user_ref \
         instance_name instance_number is_pdb is_replica jdbc_connection_string mssql_source_type namespace_id \
         namespace_name non_sys_user plugin_version recovery_model user",
    )
});

pub(super) static ENVIRONMENT: Attributes = LazyLock::new(|| {
    words(
        "id name engine_id engine_name enabled os_type hosts tags address ase_db_credential_type ase_db_user_name \
         ase_enable_tls ase_skip_server_certificate_validation cluster_home cluster_name encryption_enabled env_users \
         is_cluster is_replica is_windows_target listeners namespace namespace_id namespace_name remote_listener \
         repositories scan staging_environment",
    )
});

pub(super) static GROUP: Attributes = LazyLock::new(|| {
    words("id name engine_id engine_name is_replica namespace namespace_id namespace_name")
});

pub(super) static TOOLKIT: Attributes = LazyLock::new(|| {
    words(
        "id name version engine_id build_api default_locale display_name engine_name external_version host_types \
         identifier language lua_name minimum_lua_version namespace plugin_id pretty_name reference \
         root_squash_enabled status type",
    )
});

pub(super) static ENGINE: Attributes = LazyLock::new(|| {
    words(
        "id uuid name hostname type version status engine_connection_status connection_status \
         connection_status_details cpu_core_count data_storage_capacity data_storage_used \
         engine_connection_status_details hashicorp_vault_id hyperscale_instance_ids hyperscale_truststore_filename \
         insecure_ssl masking_allocated_memory masking_available_cores masking_jobs_running \
         masking_max_concurrent_jobs masking_memory_used memory_size ssh_public_key tags truststore_filename \
         unsafe_ssl_hostname_check username",
    )
});

pub(super) static JOB: Attributes = LazyLock::new(|| {
    words(
        "id status type localized_type percent_complete error_details warning_message target_id target_name \
         start_time update_time tags account_id account_name engine_ids engines trace_id",
    )
});

pub(super) static INVENTORY: Attributes = LazyLock::new(|| {
    words(
        "vdb_id engine_name name type version parent_name parent_id creation_date last_refreshed_date \
         parent_timeflow_timestamp parent_timeflow_timezone enabled status storage_size parent_timeflow_location",
    )
});

pub(super) static SAVINGS: Attributes = LazyLock::new(|| {
    words(
        "dsource_id name engine_name dependant_vdbs virtualized_space unvirtualized_space estimated_savings \
         current_timeflows_unvirtualized_space estimated_current_timeflows_savings \
         estimated_current_timeflows_savings_perc estimated_savings_perc is_replica",
    )
});

pub(super) static SUMMARY: Attributes = LazyLock::new(|| {
    words("engine_id engine_name total_capacity free_storage dsource_count vdb_count")
});

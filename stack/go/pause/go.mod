module postgres-vdb-platform/stack/go/pause

go 1.26

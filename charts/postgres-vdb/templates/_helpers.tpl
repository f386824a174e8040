{{/* The environment's name: the ApplicationSet fixes the release's name to the directory's. */}}
{{- define "environment.name" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) -}}
{{- fail (printf "release name %q is no environment name: use lower-case letters, digits and '-', beginning with a letter" .Release.Name) -}}
{{- end -}}
{{- if gt (len .Release.Name) 36 -}}
{{- fail (printf "environment name %q has %d characters: use at most 36" .Release.Name (len .Release.Name)) -}}
{{- end -}}
{{- .Release.Name -}}
{{- end -}}

{{- define "environment.namespace" -}}
postgres-vdbs-{{ include "environment.name" . }}
{{- end -}}

{{/* Labels of everything in the environment. */}}
{{- define "environment.labels" -}}
app.kubernetes.io/part-of: postgres-vdb-platform
backstage.io/kubernetes-id: {{ include "environment.name" . }}
postgres-vdb-platform/environment: {{ include "environment.name" . }}
{{- end -}}

{{/* "true" where a database of the environment is protected. */}}
{{- define "environment.protected" -}}
{{- $all := values (.Values.vdbs | default dict) -}}
{{- if kindIs "map" .Values.vdb -}}
{{- $all = append $all .Values.vdb -}}
{{- end -}}
{{- range $all -}}
{{- if .protected }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/*
One PostgresVDB. Argument: dict "root" $ "name" <resource name> "vdb" <body>.
The body is the spec as it stands; `global` completes what it leaves out.
*/}}
{{- define "environment.postgresvdb" -}}
{{- $root := .root -}}
{{- $spec := deepCopy .vdb -}}
{{- $global := $root.Values.global | default dict -}}
{{- if and $global.sourceDatabase (not (hasKey $spec "source")) -}}
{{- $_ := set $spec "source" (dict "type" "dct-source" "reference" $global.sourceDatabase) -}}
{{- end -}}
{{- range $field, $default := dict "image" $global.postgresImage "storageClass" $global.storageClass "resources" $global.defaultResources -}}
{{- if and $default (not (hasKey $spec $field)) -}}
{{- $_ := set $spec $field $default -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey $spec "database") -}}
{{- $_ := set $spec "database" dict -}}
{{- end -}}
{{- if gt (len .name) 40 -}}
{{- fail (printf "the database's name %s has %d characters: environment and key together may have at most 35" .name (len .name)) -}}
{{- end -}}
apiVersion: core.delphix.com/v1alpha1
kind: PostgresVDB
metadata:
  name: {{ .name }}
  namespace: {{ include "environment.namespace" $root }}
  labels:
    app.kubernetes.io/instance: {{ .name }}
    app.kubernetes.io/name: postgres-vdb
    {{- include "environment.labels" $root | nindent 4 }}
  annotations:
    {{- /* The last wave: databases go before the namespace does, and no sync stays open while one starts. */}}
    argocd.argoproj.io/sync-wave: "1"
    {{- with $root.Values.owner }}
    postgres-vdb-platform/owner: {{ . | quote }}
    {{- end }}
    {{- with ($root.Values.request | default dict).id }}
    postgres-vdb-platform/request-id: {{ . | quote }}
    {{- end }}
    {{- with ($root.Values.request | default dict).by }}
    postgres-vdb-platform/requested-by: {{ . | quote }}
    {{- end }}
spec:
  {{- toYaml $spec | nindent 2 }}
{{- end -}}

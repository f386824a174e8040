{{/* Labels of everything in the chart. Argument: dict "name" <component> "root" $. */}}
{{- define "platform.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: postgres-vdb-platform
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end -}}

{{- define "platform.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .uid }}
runAsGroup: {{ .uid }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "platform.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* A container's name, image and log level. Argument: dict "name" "component" "root". */}}
{{- define "platform.container" -}}
name: {{ .name }}
image: {{ .component.image | quote }}
imagePullPolicy: {{ .root.Values.imagePullPolicy }}
securityContext:
  {{- include "platform.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .component.resources | nindent 2 }}
{{- end -}}

{{/* Settings and Secrets as every program finds them. */}}
{{- define "platform.mounts" -}}
- name: settings
  mountPath: /etc/vdb/settings.yaml
  subPath: settings.yaml
  readOnly: true
{{- range .component.secrets }}
- name: secret-{{ . }}
  mountPath: /etc/vdb/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "platform.volumes" -}}
- name: settings
  configMap:
    name: {{ .name }}
{{- range .component.secrets }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . }}
{{- end }}
{{- end -}}

{{/* ServiceAccount and ConfigMap with the settings. */}}
{{- define "platform.base" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "platform.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "platform.labels" . | nindent 4 }}
data:
  settings.yaml: |
    {{- toYaml .component.settings | nindent 4 }}
{{- end -}}

{{- define "platform.scheduling" -}}
{{- with .component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

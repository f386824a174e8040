{{/* Labels of everything in the chart. Argument: dict "name" <component> "root" $. */}}
{{- define "platform.labels" -}}
{{- with .root.Values.commonLabels }}
{{- toYaml . }}
{{ end -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: postgres-vdb-platform
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end -}}

{{/* "true" where the admission policies are wanted. A cluster that has none is told so, not left without them. */}}
{{- define "platform.admission" -}}
{{- if .Values.admissionPolicies.enabled -}}
{{- if semverCompare "<1.30.0-0" .Capabilities.KubeVersion.Version -}}
{{- fail (printf "admissionPolicies.enabled: Kubernetes %s has no ValidatingAdmissionPolicy v1 (1.30 has); with false the chart installs without what limits the operator's volumes and keeps protected databases" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
true
{{- end -}}
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

{{/* Metadata of the pods. A change of the settings rolls them. */}}
{{- define "platform.podMeta" -}}
labels:
  {{- with .component.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "platform.labels" . | nindent 2 }}
annotations:
  {{- with .component.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  postgres-vdb-platform/settings: {{ toYaml .component.settings | sha256sum }}
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

{{/* Where and before whom the pods run. Replicas keep apart where nothing else is said. */}}
{{- define "platform.scheduling" -}}
{{- with .component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .component.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml .component.topologySpreadConstraints | nindent 2 }}
{{- else if gt (int .component.replicas) 1 }}
topologySpreadConstraints:
  - topologyKey: kubernetes.io/hostname
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: {{ .name }}
{{- end }}
{{- end -}}

{{/* A drained node takes one replica at a time. With a single one there is nothing to keep, and a drain must not wait. */}}
{{- define "platform.budget" -}}
{{- if gt (int .component.replicas) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "platform.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ .name }}
{{- end }}
{{- end -}}

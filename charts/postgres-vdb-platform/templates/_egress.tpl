{{/*
What a program reaches: names, the API server, the addresses in its settings, and what the values add.
A rule on a port counts behind the Service, where a pod may have another: for addresses inside the cluster (a.b, a.b.svc…)
the whole namespace is opened as well.
*/}}
{{- define "platform.egress" -}}
{{- $egress := .root.Values.networkPolicy.egress -}}
{{- $settings := .component.settings -}}
{{- $addresses := list (dig "dct" "url" "" $settings) (dig "forge" "url" "" $settings) (dig "forge" "apiUrl" "" $settings) (dig "forge" "graphqlUrl" "" $settings) (dig "argocd" "url" "" $settings) (dig "portal" "url" "" $settings) -}}
{{- $addresses = concat $addresses (dig "argocd" "webhooks" list $settings) -}}
{{- range dig "sources" list $settings -}}
{{- if kindIs "map" . -}}
{{- $addresses = append $addresses (printf "tcp://%s:%v" .host (.port | default 5432)) -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- if ne .name "vdb-engine" -}}
{{- range $egress.apiServerPorts -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- end -}}
{{- $namespaces := list -}}
{{- range compact $addresses -}}
{{- $url := urlParse . -}}
{{- $named := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- $ports = append $ports (int ($named | default (ternary "443" "80" (eq $url.scheme "https")))) -}}
{{- $parts := splitList "." (regexReplaceAll ":[0-9]+$" $url.host "") -}}
{{- if or (eq (len $parts) 2) (and (gt (len $parts) 2) (eq (index $parts 2) "svc")) -}}
{{- $namespaces = append $namespaces (index $parts 1) -}}
{{- end -}}
{{- end -}}
- ports:
    {{- range list 53 5353 }}
    - { protocol: UDP, port: {{ . }} }
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
- ports:
    {{- range $ports | uniq }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- if eq .name "vdb-operator" }}
# The databases: it asks each one before it says Ready.
- to:
    - namespaceSelector:
        matchLabels:
          app.kubernetes.io/part-of: postgres-vdb-platform
{{- with dig "remote" "hosts" list $settings }}
- to:
    {{- range . }}
    - ipBlock: { cidr: {{ . | quote }} }
    {{- end }}
{{- end }}
{{- end }}
{{- with $namespaces | uniq }}
- to:
    {{- range . }}
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ . }}
    {{- end }}
{{- end }}
{{- with $egress.more }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Who may come in: give (list $ part). */}}
{{- define "darkroom.ingressRules" -}}
{{- $root := index . 0 -}}{{- $policy := $root.Values.networkPolicy -}}
{{- if eq (index . 1) "api" -}}
- ports: [{ protocol: TCP, port: 8000 }]
  {{- with $policy.apiFrom }}
  from: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- else if and (eq (index . 1) "worker") $policy.metricsFrom -}}
- ports: [{ protocol: TCP, port: 9100 }]
  from: {{ toYaml $policy.metricsFrom | nindent 4 }}
{{- else if eq (index . 1) "valkey" -}}
- ports: [{ protocol: TCP, port: 6379 }]
  from:
    {{- range list "api" "worker" "courier" "toolbox" }}
    - podSelector:
        matchLabels: {{ include "darkroom.selector" (list $root .) | nindent 10 }}
    {{- end }}
{{- else -}}
[]
{{- end }}
{{- end }}

{{/* The way to names and to the store, which is all that a worker has. */}}
{{- define "darkroom.storeRules" -}}
{{- $policy := .Values.networkPolicy -}}
- to: {{ toYaml $policy.dnsTo | nindent 4 }}
  ports: [{ protocol: UDP, port: 53 }, { protocol: TCP, port: 53 }]
{{- if .Values.valkey.enabled }}
- to:
    - podSelector:
        matchLabels: {{ include "darkroom.selector" (list . "valkey") | nindent 10 }}
  ports: [{ protocol: TCP, port: 6379 }]
{{- else }}
{{- if not $policy.redisTo }}
{{- fail "networkPolicy.redisTo: where is Redis? Without valkey.enabled it has to be said, or nobody reaches it" }}
{{- end }}
- to: {{ toYaml $policy.redisTo | nindent 4 }}
  ports:
    {{- range $policy.redisPorts }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- end }}
{{- end }}

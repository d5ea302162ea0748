{{/* Names and labels. */}}

{{- define "darkroom.name" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- if contains $chart .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ $chart }}{{ end }}
{{- end }}

{{/* What selects the pods of a part: give (list $ "api"). It never changes in the life of a release. */}}
{{- define "darkroom.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: darkroom
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "darkroom.labels" -}}
{{- $root := index . 0 -}}
{{ include "darkroom.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* The labels of a worker group's pods: give (list $ group). */}}
{{- define "darkroom.groupSelector" -}}
{{ include "darkroom.selector" (list (index . 0) "worker") }}
darkroom.dev/group: {{ (index . 1).name }}
{{- end }}

{{- define "darkroom.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end }}

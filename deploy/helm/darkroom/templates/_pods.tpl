{{/* What every pod of the service has in common. */}}

{{- define "darkroom.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch # a volume of weights is large
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "darkroom.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Parts of a pod's spec: give (list $ pod), where pod may have a nodeSelector and tolerations. */}}
{{- define "darkroom.placement" -}}
{{- $root := index . 0 -}}{{- $pod := index . 1 -}}
automountServiceAccountToken: false
serviceAccountName: {{ include "darkroom.name" $root }}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* One variable from the Secret: give (list $ "VARIABLE" "key"). */}}
{{- define "darkroom.secretVariable" -}}
- name: {{ index . 1 }}
  valueFrom: { secretKeyRef: { name: {{ (index . 0).Values.secret.name }}, key: {{ index . 2 }} } }
{{- end }}

{{/* Where Redis is: give (list $ "key of its whole address"). A variable may use one that stands before it. */}}
{{- define "darkroom.redisVariables" -}}
{{- $root := index . 0 -}}{{- $keys := $root.Values.secret.keys -}}
{{- if $root.Values.valkey.enabled -}}
{{ include "darkroom.secretVariable" (list $root "VALKEY_PASSWORD" $keys.redisPassword) }}
- name: DARKROOM_REDIS__URL
  value: redis://:$(VALKEY_PASSWORD)@{{ include "darkroom.name" $root }}-valkey:6379/0
{{- else -}}
{{ include "darkroom.secretVariable" (list $root "DARKROOM_REDIS__URL" (index . 1)) }}
{{- end }}
{{- with $keys.brokerUrl }}
{{ include "darkroom.secretVariable" (list $root "DARKROOM_REDIS__BROKER_URL" .) }}
{{- end }}
{{- if $keys.redisCa }}
- { name: DARKROOM_REDIS__CA_FILE, value: /etc/darkroom-redis/ca.crt }
{{- end }}
{{- end }}

{{/* Who may write where results lie, in S3. */}}
{{- define "darkroom.resultsVariables" -}}
{{- if and .Values.results.urls .Values.secret.keys.s3AccessKeyId -}}
{{ include "darkroom.secretVariable" (list . "DARKROOM_RESULTS__S3_ACCESS_KEY_ID" .Values.secret.keys.s3AccessKeyId) }}
{{ include "darkroom.secretVariable" (list . "DARKROOM_RESULTS__S3_SECRET_ACCESS_KEY" .Values.secret.keys.s3SecretAccessKey) }}
{{- end }}
{{- end }}

{{/* Every model that a group serves, once. */}}
{{- define "darkroom.models" -}}
{{- $names := list -}}
{{- range .Values.workerGroups }}{{ $names = concat $names .models }}{{ end -}}
{{- uniq $names | toJson -}}
{{- end }}

{{- define "darkroom.mounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if .Values.models.volume }}
- { name: models, mountPath: /var/cache/huggingface, readOnly: true }
{{- end }}
{{- if .Values.models.catalogueConfigMap }}
- { name: catalogue, mountPath: /etc/darkroom, readOnly: true }
{{- end }}
{{- if .Values.secret.keys.redisCa }}
- { name: redis-ca, mountPath: /etc/darkroom-redis, readOnly: true }
{{- end }}
{{- end }}

{{/* The folder of results, for those who write or read there. */}}
{{- define "darkroom.resultsMount" -}}
{{- if and (hasPrefix "/" .Values.results.urls) .Values.results.volume -}}
- { name: results, mountPath: {{ .Values.results.urls }} }
{{- end }}
{{- end }}

{{- define "darkroom.resultsVolume" -}}
{{- if and (hasPrefix "/" .Values.results.urls) .Values.results.volume -}}
- name: results
  {{- toYaml .Values.results.volume | nindent 2 }}
{{- end }}
{{- end }}

{{- define "darkroom.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 4Gi } # on disk: sixteen uploads at once, as they came and made plain
{{- with .Values.models.volume }}
- name: models
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.models.catalogueConfigMap }}
- name: catalogue
  configMap: { name: {{ . }} }
{{- end }}
{{- with .Values.secret.keys.redisCa }}
- name: redis-ca
  secret: { secretName: {{ $.Values.secret.name }}, items: [{ key: {{ . }}, path: ca.crt }] }
{{- end }}
{{- end }}

{{/* Pods start again when what they read at their start has changed. */}}
{{- define "darkroom.checksum" -}}
checksum/settings: {{ include (print .Template.BasePath "/settings.yaml") . | sha256sum }}
{{- end }}

{{/* A setting as text: Helm reads large whole numbers as floats, and would write them with an exponent. */}}
{{- define "darkroom.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

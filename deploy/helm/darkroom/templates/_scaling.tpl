{{/*
What a group's models have to do, waiting and running. Each API pod tells the same numbers, read from Redis: the
greatest of them counts, not their sum. A model without a series has nothing to do, as long as the store is up;
where nobody tells anything the query has no result, and what runs is left as it is.

It is Prometheus that is asked, and not Redis: the queue is a sorted set, which KEDA's Redis scaler cannot count, and
Celery's list holds rings, not jobs: one that was lost is rung again by a worker, and here there may be none.
*/}}
{{- define "darkroom.work" -}}
{{- $root := index . 0 -}}
{{- $ours := default (printf "namespace=%q" $root.Release.Namespace) $root.Values.keda.matchers -}}
{{- $names := list -}}
{{- range (index . 1).models }}{{ $names = append $names (regexQuoteMeta . | replace "\\" "\\\\") }}{{ end -}}
{{- $which := printf "{model=~\"%s\", %s}" (join "|" $names) $ours -}}
sum(max by (model) (darkroom_jobs_queued{{ $which }}) + max by (model) (darkroom_jobs_running{{ $which }})) or max(darkroom_store_up{ {{- $ours -}} } == 1) - 1
{{- end }}

{{- define "darkroom.scaledObject" -}}
{{- $root := index . 0 -}}{{- $group := index . 1 -}}{{- $keda := $root.Values.keda -}}
{{- $scaling := default dict $group.scaling }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ index . 2 }}
  labels: {{ include "darkroom.labels" (list $root "worker") | nindent 4 }}
spec:
  scaleTargetRef: { name: {{ index . 2 }} }
  pollingInterval: {{ $keda.pollingInterval }}
  cooldownPeriod: {{ $keda.cooldownPeriod }}
  minReplicaCount: {{ dig "minReplicas" 1 $scaling }}
  maxReplicaCount: {{ dig "maxReplicas" 4 $scaling }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        # A worker that ends hands its jobs back, and the next one loads the model anew: not for every lull.
        scaleDown:
          stabilizationWindowSeconds: {{ $keda.cooldownPeriod }}
          policies: [{ type: Percent, value: 50, periodSeconds: 60 }]
  triggers:
    - type: prometheus
      metricType: AverageValue
      metadata:
        serverAddress: {{ required "keda.prometheusAddress: where is Prometheus?" $keda.prometheusAddress }}
        query: {{ include "darkroom.work" (list $root $group) | squote }}
        threshold: {{ dig "jobsPerWorker" 4 $scaling | quote }}
        activationThreshold: "0"
        ignoreNullValues: "false"
        {{- with $keda.authModes }}
        authModes: {{ . }}
        {{- end }}
      {{- with $keda.triggerAuthentication }}
      authenticationRef: { name: {{ . }} }
      {{- end }}
{{- end }}

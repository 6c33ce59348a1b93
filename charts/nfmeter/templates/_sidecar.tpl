{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{/*
Any pod template with the server in it, native-sidecar style: an init container
that stays, first in the row, so that it counts from the first packet and ends
after the application.

  spec:
    template:
      {{- include "nfmeter.sidecar" (list .Subcharts.nfmeter (include "web.pod" .)) | nindent 6 }}

The first argument is the context of this chart (in a chart that has it as a
dependency: .Subcharts.nfmeter, or .Subcharts.ALIAS), the second a pod template
(metadata and spec), as YAML text or as an object. Nothing in it is changed but
what is added: the container, volumes nfmeter-*, a label and an annotation; and
in containers that sidecar.socketFor names, the mount of the socket.
*/}}
{{- define "nfmeter.sidecar" -}}
{{- $ := index . 0 -}}
{{- $pod := index . 1 -}}
{{- if kindIs "string" $pod }}{{ $pod = fromYaml $pod }}{{ end -}}
{{- if hasKey $pod "Error" -}}
{{- fail (printf "nfmeter.sidecar: the pod template is not YAML: %s" (get $pod "Error")) -}}
{{- end -}}
{{- $pod = deepCopy $pod -}}
{{- $spec := $pod.spec | default dict -}}
{{- include "nfmeter.checkSidecarPod" (list $ $spec) -}}
{{- $container := include "nfmeter.sidecar.container" $ | fromYaml -}}
{{- $own := list $container -}}
{{- if $.Values.planConfigMaps.enabled -}}
{{- $watcher := include "nfmeter.planWatcher" $ | fromYaml -}}
{{- $own = append $own (set $watcher "restartPolicy" "Always") -}}
{{- end -}}
{{- $_ := set $spec "initContainers" (concat $own ($spec.initContainers | default list)) -}}
{{- $volumes := include "nfmeter.sidecar.volumes" $ | fromYamlArray -}}
{{- $_ := set $spec "volumes" (concat ($spec.volumes | default list) $volumes) -}}
{{- include "nfmeter.sidecar.shareSocket" (list $ $spec) -}}
{{- with $.Values.imagePullSecrets -}}
{{- $_ := set $spec "imagePullSecrets" (concat ($spec.imagePullSecrets | default list) . | uniq) -}}
{{- end -}}
{{- $_ := set $pod "spec" $spec -}}
{{- $metadata := $pod.metadata | default dict -}}
{{- $_ := set $metadata "labels" (merge (dict "nfmeter-sidecar" (include "nfmeter.fullname" $)) ($metadata.labels | default dict)) -}}
{{- $_ := set $metadata "annotations" (merge (include "nfmeter.checksums" $ | fromYaml) ($metadata.annotations | default dict)) -}}
{{- $_ := set $pod "metadata" $metadata -}}
{{- toYaml $pod }}
{{- end }}

{{/* Without a readiness probe: an application is not taken out of service for
     the sake of its meter. */}}
{{- define "nfmeter.sidecar.container" -}}
name: {{ .Values.sidecar.containerName }}
restartPolicy: Always
{{ include "nfmeter.container" . }}
{{- if .Values.sidecar.required }}
startupProbe:
  {{- include "nfmeter.probe" (list . "startup") | nindent 2 }}
{{- end }}
env:
  # The pod's network namespace is its own, so is the lock of its tables.
  - name: XTABLES_LOCKFILE
    value: /run/nfmeter/xtables.lock
volumeMounts:
  {{- include "nfmeter.configMounts" . | nindent 2 }}
  - name: nfmeter-run
    mountPath: /run/nfmeter
  - name: nfmeter-state
    mountPath: /var/lib/nfmeter
{{- end }}

{{/* They live as long as the pod's network namespace and its counters. */}}
{{- define "nfmeter.sidecar.volumes" -}}
{{ include "nfmeter.configVolumes" . }}
- name: nfmeter-run
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
- name: nfmeter-state
  emptyDir:
    sizeLimit: 64Mi
{{- end }}

{{/* Adds the socket to the containers that are to have it. Prints nothing. */}}
{{- define "nfmeter.sidecar.shareSocket" -}}
{{- $ := index . 0 -}}
{{- $spec := index . 1 -}}
{{- $mount := dict "name" "nfmeter-run" "mountPath" "/run/nfmeter" -}}
{{- $own := list $.Values.sidecar.containerName "nfmeter-plans" -}}
{{- range concat ($spec.containers | default list) $spec.initContainers -}}
{{- if has .name $own }}{{ continue }}{{ end -}}
{{- if or (has "*" $.Values.sidecar.socketFor) (has .name $.Values.sidecar.socketFor) -}}
{{- $_ := set . "volumeMounts" (append (.volumeMounts | default list) $mount) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Stops with a sentence where a sidecar can't work. Prints nothing. */}}
{{- define "nfmeter.checkSidecarPod" -}}
{{- $ := index . 0 -}}
{{- $spec := index . 1 -}}
{{- if ne $.Values.mode "sidecar" -}}
{{- fail "nfmeter.sidecar is used, but the mode is daemonset: set mode=sidecar (as a dependency: nfmeter.mode=sidecar)" -}}
{{- end -}}
{{- if not $spec.containers -}}
{{- fail "nfmeter.sidecar: the pod template has no spec.containers: give it the application's containers" -}}
{{- end -}}
{{- if $spec.hostNetwork -}}
{{- fail "nfmeter.sidecar: the pod has hostNetwork: true, so a sidecar would count and change the whole node: remove hostNetwork, or install the chart with mode=daemonset" -}}
{{- end -}}
{{- $names := list -}}
{{- $ports := dict -}}
{{- range concat $spec.containers ($spec.initContainers | default list) -}}
{{- $names = append $names .name -}}
{{- range .ports }}{{ $_ := set $ports (toString (.containerPort | int)) true }}{{ end -}}
{{- end -}}
{{- if has $.Values.sidecar.containerName $names -}}
{{- fail (printf "nfmeter.sidecar: the pod has a container '%s' of its own: set sidecar.containerName to another name" $.Values.sidecar.containerName) -}}
{{- end -}}
{{- range $.Values.sidecar.socketFor -}}
{{- if not (or (eq . "*") (has . $names)) -}}
{{- fail (printf "sidecar.socketFor names '%s', but the pod has only: %s" . (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $on := dict "tcp" $.Values.tcp.enabled "metrics" $.Values.metrics.enabled -}}
{{- $port := get (get $.Values $name) "port" | int -}}
{{- if and $on (hasKey $ports (toString $port)) -}}
{{- fail (printf "port %d is the application's already, and a pod has one network: set %s.port to another" $port $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

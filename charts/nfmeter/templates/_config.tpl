{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{/* nfmeter.yaml, the server's configuration. */}}
{{- define "nfmeter.config" -}}
{{- $unix := dict "address" "unix:/run/nfmeter/nfmeter.sock" "mode" .Values.socket.mode -}}
{{- if ne (toString .Values.socket.group) "<nil>" -}}
{{- $_ := set $unix "group" (.Values.socket.group | int64 | toString) -}}
{{- end -}}
{{- range $name := list "role" "flows" -}}
{{- with get $.Values.socket $name }}{{ $_ := set $unix $name . }}{{ end -}}
{{- end -}}
{{- $listen := list $unix -}}
{{- if .Values.tcp.enabled -}}
{{- range .Values.tcp.addresses -}}
{{- $host := ternary (printf "[%s]" .) . (contains ":" .) -}}
{{- $address := printf "tcp:%s:%d" $host ($.Values.tcp.port | int) -}}
{{- $listen = append $listen (dict "address" $address) -}}
{{- end -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- range $group := list "limits" "retention" -}}
{{- if not (get $config $group) }}{{ $_ := unset $config $group }}{{ end -}}
{{- end -}}
{{- $_ := set $config "listen" $listen -}}
{{- $_ := set $config "state_dir" "/var/lib/nfmeter" -}}
{{- if .Values.tcp.enabled -}}
{{- $_ := set $config "tls" (dict "certificate" "/etc/nfmeter/tls/tls.crt"
      "key" "/etc/nfmeter/tls/tls.key" "client_ca" "/etc/nfmeter/tls/ca.crt"
      "reload_interval" .Values.tls.reloadInterval) -}}
{{- end -}}
{{- if eq (include "nfmeter.hasPolicy" .) "true" -}}
{{- $_ := set $config "policy" "/etc/nfmeter/policy/policy.yaml" -}}
{{- end -}}
{{- if eq (include "nfmeter.hasPlans" .) "true" -}}
{{- $_ := set $config "plan" "/etc/nfmeter/plans" -}}
{{- end -}}
{{- if .Values.metrics.enabled -}}
{{- $host := ternary (printf "[%s]" .Values.metrics.address) .Values.metrics.address (contains ":" .Values.metrics.address) -}}
{{- $_ := set $config "metrics" (dict "listen" (printf "%s:%d" $host (.Values.metrics.port | int))
      "max_counters" (.Values.metrics.maxCounters | int64)
      "counters" .Values.metrics.counters
      "labels" .Values.metrics.labels) -}}
{{- end -}}
{{- if .Values.web.listen -}}
{{- $_ := set $config "web" (pick .Values.web "listen" "role") -}}
{{- end -}}
{{- toYaml $config }}
{{- end }}

{{/* The page's port, where others than the pod's or the node's own reach it. */}}
{{- define "nfmeter.webPort" -}}
{{- if and .Values.web.listen (not (regexMatch "^(unix:|localhost:|127\\.|\\[::1\\]:)" .Values.web.listen)) -}}
{{- regexFind "[0-9]+$" .Values.web.listen -}}
{{- end -}}
{{- end }}

{{/* The rules of the policy: those of the values, and what every client with a
     certificate may do, whatever the name in it. Unix sockets have a role of
     their own, so "*" would be too much. */}}
{{- define "nfmeter.rules" -}}
{{- $rules := .Values.policy.rules -}}
{{- if and .Values.tcp.enabled (ne .Values.tcp.role "none") -}}
{{- $rules = append $rules (dict "name" "tcp.role" "role" .Values.tcp.role
      "principals" (list "spiffe://*" "uri:*" "dns:*" "cn:*")) -}}
{{- end -}}
{{- toYaml $rules }}
{{- end }}

{{- define "nfmeter.hasPolicy" -}}
{{- or (ne (include "nfmeter.rules" .) "[]") (not (empty .Values.policy.existingConfigMap)) -}}
{{- end }}

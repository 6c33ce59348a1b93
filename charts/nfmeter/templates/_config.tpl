{{/* nfmeter.yaml, the server's configuration. */}}
{{- define "nfmeter.config" -}}
{{- $unix := dict "address" "unix:/run/nfmeter/nfmeter.sock" "mode" .Values.socket.mode -}}
{{- if ne (toString .Values.socket.group) "<nil>" -}}
{{- $_ := set $unix "group" (.Values.socket.group | int64 | toString) -}}
{{- end -}}
{{- $listen := list $unix -}}
{{- if .Values.tcp.enabled -}}
{{- range .Values.tcp.addresses -}}
{{- $host := ternary (printf "[%s]" .) . (contains ":" .) -}}
{{- $listen = append $listen (dict "address" (printf "tcp:%s:%d" $host ($.Values.tcp.port | int))) -}}
{{- end -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- if not $config.limits }}{{ $_ := unset $config "limits" }}{{ end -}}
{{- $_ := set $config "listen" $listen -}}
{{- $_ := set $config "state_dir" "/var/lib/nfmeter" -}}
{{- if .Values.tcp.enabled -}}
{{- $_ := set $config "tls" (dict "certificate" "/etc/nfmeter/tls/tls.crt"
      "key" "/etc/nfmeter/tls/tls.key" "client_ca" "/etc/nfmeter/tls/ca.crt"
      "reload_interval" .Values.tls.reloadInterval) -}}
{{- end -}}
{{- toYaml $config }}
{{- end }}

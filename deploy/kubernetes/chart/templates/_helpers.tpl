{{- define "register.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "register.selector" -}}
app.kubernetes.io/name: register
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* The names as they are given, each in a line. What no register knows is refused here, and not by a thousand pods. */ -}}
{{- define "register.architectures" -}}
{{- $known := splitList "\n" (trim (.Files.Get "architectures.txt")) -}}
{{- $named := .Values.architectures -}}
{{- range $named -}}
{{- range splitList "," . -}}
{{- $name := regexReplaceAll "/v[0-9.]+$" (trimPrefix "linux/" (lower (trim .))) "" | trimPrefix "qemu-" | trimSuffix "-static" -}}
{{- $all := and (eq $name "all") (eq (len $named) 1) -}}
{{- if not (or $all (contains "-linux" $name) (has $name $known)) -}}
{{- fail (printf "values: architectures: unknown architecture %q: a platform (linux/arm64) or any name in the chart's architectures.txt is known" .) -}}
{{- end -}}
{{- end }}
- {{ . | quote }}
{{- end -}}
{{- end -}}

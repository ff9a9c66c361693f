set -eu
echo "reading $(($(wc -l < /home/user/sales/sales.csv) - 1)) sales"
{
    echo "# Sales by region"
    echo
    echo "| region | units | revenue |"
    echo "|---|---:|---:|"
    awk -F, 'NR > 1 { units[$2] += $4; revenue[$2] += $4 * $5 }
        END { for (region in units) printf "| %s | %d | %.2f |\n", region, units[region], revenue[region] }' \
        /home/user/sales/sales.csv | sort
} > report.md
echo "wrote report.md"
